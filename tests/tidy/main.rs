//! The rules of the house that no compiler checks, read off the text of the tree: sizes, layers,
//! words that must not appear, dependencies, and the table of requirements against code and tests.
//!
//! The text is read as rustfmt leaves it (a body ends with a brace at the indentation of its
//! `fn`), after comments and literals are blanked where only code counts.

mod coverage;
mod dependencies;
mod layers;
mod pitfalls;
mod sizes;
mod tree;
mod words;
