//! The C surface: what `include/wharf.h` declares, over [`Stack`](crate::Stack).
//!
//! ```text
//!  C program ─▶ time, packets, sockets, options     one `extern "C"` function a declaration
//!                  │        memory                  pointers become slices and values, or -EINVAL
//!                  ▼        registry                `wharf *` becomes a Host, or -EINVAL
//!               host ─▶ handles                     a handle becomes a socket, or -EBADF
//!                  │
//!       streams, datagrams, poll_bits, tcp_info     what Linux answers where Stack says less
//!                  ▼
//!                Stack
//! ```
//!
//! Sockets are Linux's to the number: errors, the bits of poll(2), units and ranges of options.
//! Where [`Stack`](crate::Stack) already answers so, nothing is added here.
//!
//! **A `wharf *` is a number and no address.** It is looked up in a table, so that one that was
//! freed, or never was, is refused and not followed; and a stack that two threads use at once is
//! only slow.
//! Handles count up and are never given out twice, so that a stale one is `-EBADF` and never
//! somebody else's socket. What is left of `unsafe` is the caller's memory: `memory` alone turns
//! pointers into slices.
//!
//! **No panic crosses the border.** The core does not panic, whatever arrives. Should a broken
//! invariant prove that wrong, the call answers `-ENOTRECOVERABLE`, and so does every later one on
//! that stack, whose state nobody can vouch for any more. (Built with `panic = "abort"` the process
//! ends instead; nothing unwinds into C either way.)
//!
//! Segmentation offload is off: every packet is at most the MTU, and its checksums are complete.
#![expect(unsafe_code, reason = "a C caller's pointers; each use says why it is sound")]

mod abi;
mod config;
mod datagrams;
mod errno;
mod handles;
mod host;
mod memory;
mod option_values;
mod options;
mod packets;
mod poll_bits;
mod registry;
mod sockets;
mod streams;
mod tcp_info;
