//! The hall from outside: every behaviour it promises, over a real engine and an in-memory stream, in virtual time.

mod events;
mod support;
