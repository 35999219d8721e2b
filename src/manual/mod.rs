//! The manual: how wharf is built, why, how it is tested, what of RFC 9293 it meets, what it costs,
//! and where it differs from the RFCs and from Linux.

#[doc = include_str!("architecture.md")]
pub mod architecture {}

#[doc = include_str!("decisions.md")]
pub mod decisions {}

#[doc = include_str!("differences.md")]
pub mod differences {}

#[doc = include_str!("performance.md")]
pub mod performance {}

#[doc = include_str!("pitfalls.md")]
pub mod pitfalls {}

#[doc = include_str!("rfc_coverage.md")]
pub mod rfc_coverage {}

#[doc = include_str!("testing.md")]
pub mod testing {}
