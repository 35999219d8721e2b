//! What wharf's servers and the host's, for comparison, have in common.

pub mod args;
pub mod plain;
