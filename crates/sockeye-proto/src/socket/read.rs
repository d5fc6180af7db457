//! From text to Rust values, with binary where the type asks for it.

use serde::de::DeserializeOwned;

use super::{Arguments, ReadError};

pub(super) fn arg<T: DeserializeOwned>(arguments: &Arguments<'_>) -> Result<T, ReadError> {
    todo!("{arguments:?}")
}

pub(super) fn args<T: DeserializeOwned>(arguments: &Arguments<'_>) -> Result<T, ReadError> {
    todo!("{arguments:?}")
}
