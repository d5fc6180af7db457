//! What the application keeps with a socket: one value per type, and the description other nodes see.

use std::any::{Any, TypeId};
use std::sync::Arc;

/// Values by type. A list, not a map: a socket has a few, and most have none.
#[derive(Clone, Default)]
pub(crate) struct Data {
    values: Vec<(TypeId, Arc<dyn Any + Send + Sync>)>,
    /// JSON text.
    pub(crate) info: Option<Arc<str>>,
}

impl Data {
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty() && self.info.is_none()
    }

    pub(crate) fn insert<T: Any + Send + Sync>(&mut self, value: T) -> Option<Arc<T>> {
        let before = self.remove::<T>();
        self.values.push((TypeId::of::<T>(), Arc::new(value)));
        before
    }

    pub(crate) fn find<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let (_, value) = self.values.iter().find(|(id, _)| *id == TypeId::of::<T>())?;
        Arc::clone(value).downcast().ok()
    }

    pub(crate) fn remove<T: Any + Send + Sync>(&mut self) -> Option<Arc<T>> {
        let at = self.values.iter().position(|(id, _)| *id == TypeId::of::<T>())?;
        self.values.swap_remove(at).1.downcast().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_per_type() {
        let mut data = Data::default();
        assert_eq!(data.insert(1_u8), None);
        assert_eq!(data.insert("a"), None);
        assert_eq!(data.insert(2_u8).as_deref(), Some(&1));
        assert_eq!(data.find::<u8>().as_deref(), Some(&2));
        assert_eq!(data.remove::<&str>().as_deref(), Some(&"a"));
        assert_eq!(data.find::<&str>(), None);
    }
}
