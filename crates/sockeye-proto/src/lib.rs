//! The rules: bytes ⇄ packets and state machines.
//!
//! Nothing in this crate awaits, reads a clock, rolls dice, logs a payload or panics on input. Time is a
//! [`core::time::Duration`] since an epoch that the caller chooses. It builds for `wasm32-unknown-unknown`.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::string_slice
    )
)]

pub mod broadcast;
pub mod client;
pub mod cluster;
pub mod engine;
pub mod event;
pub mod socket;
pub mod websocket;
