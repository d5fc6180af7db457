//! From Rust values to the JSON text of an array of arguments, and the binary values beside it.

/// Several arguments: `Args(("a", 1))` is sent as two, where the tuple alone would be one (an array). Also the
/// way to receive several: see [`Arguments::arg`](super::Arguments::arg).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Args<T>(pub T);
