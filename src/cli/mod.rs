//! The command line: one file a subcommand.
//!
//! Exit codes: 0 done, 1 runtime failure, 2 wrong use. Every failure is one sentence on standard
//! error.

use std::ffi::OsString;
use std::fmt::Display;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

mod device;
mod get;
mod nc;
mod ping;
mod serve;
mod signals;
mod small_services;

/// A userspace TCP/IP stack on a TUN device, with a server and clients on top.
#[derive(Debug, Parser)]
#[command(name = "wharf", version, arg_required_else_help = false)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve HTTP, WebSocket and, if asked, echo, discard and chargen.
    Serve(serve::Serve),
    /// Fetch a URL over HTTP, or send a message over a WebSocket and print the answer.
    Get(get::Get),
    /// Send echo requests and report the replies.
    Ping(ping::Ping),
    /// Connect standard input and output to a TCP connection.
    Nc(nc::Nc),
    /// Connections of a running server (not built yet).
    Ss(Anything),
    /// One line a packet of a capture (not built yet).
    Dump(Anything),
    /// Sequence diagram of a capture (not built yet).
    Ladder(Anything),
    /// Two stacks over an impaired link in virtual time (not built yet).
    Simulate(Anything),
}

/// The arguments of what is not built yet: whatever they are, that is the answer.
#[derive(Debug, clap::Args)]
struct Anything {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    _arguments: Vec<OsString>,
}

/// Why a command failed: one sentence for standard error, and the exit code.
#[derive(Debug)]
struct Failure {
    code: u8,
    sentence: String,
}

impl Failure {
    /// Wrong use: something on the command line cannot be.
    fn usage(sentence: impl Display) -> Self {
        Self { code: 2, sentence: sentence.to_string() }
    }

    /// Failed while it ran.
    fn runtime(sentence: impl Display) -> Self {
        Self { code: 1, sentence: sentence.to_string() }
    }

    /// What is described somewhere, and refused until it is there.
    fn not_built(what: &str) -> Self {
        Self::usage(format_args!("{what} is not built yet"))
    }
}

/// Runs the program; `main` is this.
pub fn main() -> ExitCode {
    let outcome = parse(std::env::args_os()).and_then(|cli| match cli {
        Some(cli) => run(cli),
        None => Ok(()),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, sentence }) => {
            let sentence = sentence.trim_end_matches(['.', '\n']);
            // Nobody is left to tell if this fails.
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("wharf: {sentence}.\n"),
            );
            ExitCode::from(code)
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    match cli.command {
        Command::Serve(serve) => serve.run(),
        Command::Get(get) => get.run(),
        Command::Ping(ping) => ping.run(),
        Command::Nc(nc) => nc.run(),
        Command::Ss(_) => Err(Failure::not_built("`wharf ss`")),
        Command::Dump(_) => Err(Failure::not_built("`wharf dump`")),
        Command::Ladder(_) => Err(Failure::not_built("`wharf ladder`")),
        Command::Simulate(_) => Err(Failure::not_built("`wharf simulate`")),
    }
}

/// The command; `None` if it was a request for help, which has been answered.
fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<Cli>, Failure> {
    let mut command = Cli::command();
    for client in ["get", "ping", "nc"] {
        command = command.mut_subcommand(client, device::with_client_defaults);
    }
    let arguments: Vec<_> = arguments.into_iter().collect();
    let name = arguments.get(1).and_then(|name| command.find_subcommand(name));
    let help = name.map_or_else(String::new, |name| format!(" {}", name.get_name()));
    let outcome =
        command.try_get_matches_from(arguments).and_then(|matches| Cli::from_arg_matches(&matches));
    match outcome {
        Ok(cli) => Ok(Some(cli)),
        Err(error) if is_answer(error.kind()) => {
            // To standard output, whose reader may have gone.
            let _ = error.print();
            Ok(None)
        }
        Err(error) => Err(Failure::usage(one_sentence(&error, &help))),
    }
}

fn is_answer(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
}

/// clap's paragraphs in one sentence: what is wrong, and where to read on about `subcommand`.
fn one_sentence(error: &clap::Error, subcommand: &str) -> String {
    if error.kind() == ErrorKind::MissingSubcommand {
        return "say what to do, such as `wharf serve`; `wharf --help` lists the rest".to_owned();
    }
    let text = error.render().to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<_> = first.split_whitespace().collect();
    let sentence = words.join(" ");
    let sentence = sentence.strip_prefix("error: ").unwrap_or(&sentence);
    format!("{sentence}; `wharf{subcommand} --help` tells more")
}

#[cfg(test)]
mod tests {
    use super::device::DeviceArgs;
    use super::*;

    fn failure(line: &str) -> Failure {
        let arguments = line.split(' ').map(OsString::from);
        let outcome = parse(arguments).and_then(|cli| run_nothing(&cli.unwrap()));
        outcome.expect_err(line)
    }

    /// As `run`, for what must fail before it touches the system.
    fn run_nothing(cli: &Cli) -> Result<(), Failure> {
        match &cli.command {
            Command::Serve(serve) => serve.check(),
            Command::Get(get) => get.check().map(drop),
            other => panic!("{other:?} would run"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn wrong_use_is_one_sentence_and_2() {
        for line in [
            "wharf",
            "wharf nonsense",
            "wharf serve --nonsense",
            "wharf serve extra",
            "wharf serve --addr 10.7.0.2",
            "wharf serve --addr 10.7.0.2/33",
            "wharf serve --addr 224.0.0.1/24",
            "wharf serve --host-addr nobody",
            "wharf serve --host-addr 10.7.0.2",
            "wharf serve --host-addr 10.8.0.1",
            "wharf serve --mtu 67",
            "wharf serve --mtu 65536",
            "wharf serve --http 65536",
            "wharf serve --http 0",
            "wharf serve --queues 0",
            "wharf serve --coalesce 1001",
            "wharf serve --impair loss=300%",
            "wharf serve --small-services --http 9",
            "wharf serve --congestion vegas",
            "wharf get",
            "wharf get nonsense",
            "wharf get https://10.7.1.1/",
            "wharf get http://example.org/",
            "wharf get http://[::1]/",
            "wharf get http://10.7.1.1:99999/",
            "wharf get http://10.7.1.1:0/",
            "wharf get http://somebody@10.7.1.1/",
            "wharf get ws://10.7.1.1/",
            "wharf get http://10.7.1.1/ --ws-message hello -o file",
            "wharf ping",
            "wharf ping somebody",
            "wharf ping 10.7.1.1 --interval 0",
            "wharf ping 10.7.1.1 --count 0",
            "wharf nc 10.7.1.1",
            "wharf nc 10.7.1.1 0",
        ] {
            let Failure { code, sentence } = failure(line);
            assert_eq!(code, 2, "{line}: {sentence}");
            assert!(!sentence.contains('\n'), "{line}: {sentence}");
        }
    }

    #[test]
    fn wrong_use_is_told_which_help_tells_more() {
        for (line, help) in [
            ("wharf nonsense", "`wharf --help`"),
            ("wharf --nonsense", "`wharf --help`"),
            ("wharf serve --nonsense", "`wharf serve --help`"),
            ("wharf get", "`wharf get --help`"),
        ] {
            let sentence = failure(line).sentence;
            assert!(sentence.ends_with(&format!("; {help} tells more")), "{line}: {sentence}");
        }
    }

    #[test]
    fn the_help_shows_the_items_of_a_bad_line_as_one_word_that_is_one() {
        let mut command = Cli::command();
        let serve = command.find_subcommand_mut("serve").unwrap();
        let help = serve.render_help().to_string();
        let items = help.split_whitespace().find(|word| word.starts_with("loss=3%")).unwrap();
        items.parse::<crate::Impairment>().unwrap();
        assert!(items.ends_with("seed=1"), "{items}");
    }

    #[test]
    fn what_is_not_built_is_refused_and_says_so() {
        for line in [
            "wharf serve --congestion cubic",
            "wharf serve --congestion bbr",
            "wharf serve --control /run/wharf",
        ] {
            let Failure { code, sentence } = failure(line);
            assert_eq!(code, 2, "{line}");
            assert!(sentence.ends_with("is not built yet"), "{line}: {sentence}");
        }
        for line in ["ss", "dump file", "ladder file -o out.svg", "simulate --seed 1"] {
            let line = format!("wharf {line}");
            let cli = parse(line.split(' ').map(OsString::from)).unwrap().unwrap();
            let name = match cli.command {
                Command::Ss(_) => "ss",
                Command::Dump(_) => "dump",
                Command::Ladder(_) => "ladder",
                Command::Simulate(_) => "simulate",
                other => panic!("{other:?}"),
            };
            assert!(line.contains(name));
        }
    }

    fn parsed(line: &str) -> DeviceArgs {
        let arguments = line.split(' ').map(OsString::from);
        match parse(arguments).unwrap().unwrap().command {
            Command::Serve(serve) => serve.device,
            Command::Get(get) => get.device,
            Command::Ping(ping) => ping.device,
            Command::Nc(nc) => nc.device,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_offload_one_sender_alone_cannot_fill_a_queue_of_a_thousand_packets() {
        let window = |line| parsed(line).config().unwrap().tcp.receive_buffer;
        assert_eq!(window("wharf serve"), 2 << 20);
        let plain = window("wharf serve --no-offload");
        assert!((500..1000).contains(&plain.div_ceil(1448)), "{plain} octets");
    }

    #[test]
    fn a_server_and_a_client_run_beside_each_other_by_default() {
        let server = parsed("wharf serve --queues 1 --congestion reno --no-offload");
        assert_eq!(server.tun, "tun0");
        assert_eq!(server.addr.to_string(), "10.7.0.2/24");
        assert_eq!(server.host_addr.to_string(), "10.7.0.1");
        for line in ["get http://10.7.1.1/", "ping 10.7.1.1", "nc 10.7.1.1 80"] {
            let client = parsed(&format!("wharf {line}"));
            assert_eq!(client.tun, "tun1");
            assert_eq!(client.addr.to_string(), "10.7.1.2/24");
            assert_eq!(client.host_addr.to_string(), "10.7.1.1");
        }
    }
}
