//! Which module may name which.

use crate::tree::{File, expect_none, tree};

/// The layers from the ground up: a module may name those in the groups before its own.
const LAYERS: &[&[&str]] = &[
    &["time", "rng", "collections", "error"],
    &["packet", "wire"],
    &["observe"],
    &["config", "options"],
    &["ip", "udp", "tcp"],
    &["stack"],
    &["device"],
    &["runtime"],
    &["socket", "net", "tokio"],
    &["app"],
    &["cli"],
];

/// Groups whose members may name each other.
const FRIENDS: &[&str] = &["time", "packet", "socket"];

/// Layers that the order alone would get wrong: who, and all that it may name besides itself:
/// these, and what lies below them; but an app sees sockets alone.
const ALLOWED_ONLY: &[(&str, &[&str])] =
    &[("sim", &["stack", "device"]), ("capi", &["stack"]), ("app", &["socket", "net", "tokio"])];

/// Namings that the order alone would forbid, and why.
const ALLOWED_TOO: &[(&str, &str, &str)] = &[
    ("config", "tcp", "StackConfig holds a TcpConfig"),
    ("cli", "sim", "`wharf simulate` is the simulator's command"),
];

/// Namings that the order alone would allow, and that are wrong all the same.
const FORBIDDEN: &[(&str, &str)] = &[("device", "stack")];

#[test]
fn layers_point_one_way() {
    let mut findings = Vec::new();
    for file in tree().iter().filter(|file| file.is_rust() && !file.is_tests()) {
        let Some(layer) = file.layer() else { continue };
        if matches!(layer, "lib" | "main" | "manual") {
            continue;
        }
        if !is_known(layer) {
            findings.push(format!("{}: the layer `{layer}` has no place", file.path));
        }
        for (line, named) in named_layers(file) {
            if named != layer && !may_name(layer, &named) {
                findings.push(format!("{}:{line}: {layer} names {named}", file.path));
            }
        }
    }
    expect_none(&findings);
}

fn rank(layer: &str) -> Option<usize> {
    LAYERS.iter().position(|group| group.contains(&layer))
}

fn is_known(layer: &str) -> bool {
    rank(layer).is_some() || ALLOWED_ONLY.iter().any(|(name, _)| *name == layer)
}

fn may_name(layer: &str, named: &str) -> bool {
    if ALLOWED_TOO.iter().any(|&(from, to, _)| (from, to) == (layer, named)) {
        return true;
    }
    if FORBIDDEN.contains(&(layer, named)) {
        return false;
    }
    // A public name at the root of the crate: for those who write what a user would write.
    if !is_known(named) {
        return matches!(layer, "app" | "cli");
    }
    if let Some((_, tops)) = ALLOWED_ONLY.iter().find(|(name, _)| *name == layer) {
        let reach = |top: &&str| named == *top || (layer != "app" && may_name(top, named));
        return tops.iter().any(reach);
    }
    match (rank(layer), rank(named)) {
        (Some(own), Some(other)) if own == other => FRIENDS.contains(&LAYERS[own][0]),
        (Some(own), Some(other)) => other < own,
        _ => false,
    }
}

/// The modules at the root of the crate that a file's code names, with the line.
fn named_layers(file: &File) -> Vec<(usize, String)> {
    let depth = file.path.matches('/').count() - usize::from(file.path.ends_with("/mod.rs"));
    let to_root = "super::".repeat(depth);
    let code = file.product_code();
    let mut found = Vec::new();
    for prefix in ["crate::", to_root.as_str()] {
        for (at, _) in code.match_indices(prefix) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '$') {
                continue;
            }
            let line = code[..at].matches('\n').count() + 1;
            for name in first_names(&code[at + prefix.len()..]) {
                found.push((line, name));
            }
        }
    }
    found
}

/// The first part of a path, or of each path in a braced list.
fn first_names(path: &str) -> Vec<String> {
    let ident = |text: &str| -> String {
        text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let Some(list) = path.strip_prefix('{') else {
        return vec![ident(path)];
    };
    let (mut names, mut depth, mut item) = (Vec::new(), 0, String::new());
    for c in list.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(ident(std::mem::take(&mut item).trim())),
            _ if depth == 0 => item.push(c),
            _ => {}
        }
    }
    names.push(ident(item.trim()));
    names.retain(|name| !name.is_empty() && name != "self");
    names
}

#[test]
fn names_after_crate_are_found_in_lists_too() {
    assert_eq!(first_names("tcp::config::TcpConfig;"), ["tcp"]);
    assert_eq!(first_names("{tcp::{A, B}, wire::C, Stack};"), ["tcp", "wire", "Stack"]);
}

#[test]
fn a_layer_may_name_what_lies_below_and_nothing_else() {
    for (from, to, may) in [
        ("stack", "tcp", true),
        ("tcp", "stack", false),
        ("tcp", "udp", false),
        ("wire", "packet", true),
        ("device", "stack", false),
        ("device", "wire", true),
        ("sim", "wire", true),
        ("sim", "runtime", false),
        ("capi", "stack", true),
        ("capi", "tcp", true),
        ("capi", "device", false),
        ("capi", "runtime", false),
        ("capi", "socket", false),
        ("app", "socket", true),
        ("app", "stack", false),
        ("app", "Net", true),
        ("tcp", "Stack", false),
    ] {
        assert_eq!(may_name(from, to), may, "{from} names {to}");
    }
}
