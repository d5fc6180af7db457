//! The hall from outside: every behaviour it promises, over a real engine and an in-memory stream, in virtual time.

mod acks;
mod build;
mod cluster;
mod connect;
mod doors;
mod dynamic;
mod events;
mod leaving;
mod logged;
mod recovery;
mod rooms;
mod storm;
mod support;
