//! MessagePack packets, translated from and to the internal form.
