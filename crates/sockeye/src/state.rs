//! What the application lends its handlers: one value per type, fixed when the server is built.

use std::any::{Any, TypeId, type_name};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A value the application gave the server with `.state(value)`: a database pool, a registry, settings.
///
/// Shared, never copied; dereferences to the value. Whether every [`State`] that some handler asks for was given is
/// checked when the server is built, and the error names handler and type.
///
/// ```
/// use sockeye::State;
///
/// struct Words {
///     good: Vec<&'static str>,
/// }
///
/// async fn allowed(words: State<Words>) -> bool {
///     words.good.contains(&"hello")
/// }
/// ```
pub struct State<T: ?Sized>(pub Arc<T>);

impl<T: ?Sized> Deref for State<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: ?Sized> Clone for State<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: fmt::Debug + ?Sized> fmt::Debug for State<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("State").field(&&*self.0).finish()
    }
}

/// All states of a server, by type. Filled by the builder, then only read.
///
/// A list, not a map: servers have a handful of states, and comparing a few type ids beats hashing one.
#[derive(Default, Clone)]
pub struct States(Vec<(TypeId, Arc<dyn Any + Send + Sync>)>);

impl States {
    /// Adds `value`; a second value of the same type replaces the first.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        let id = TypeId::of::<T>();
        let value: Arc<dyn Any + Send + Sync> = Arc::new(value);
        match self.0.iter_mut().find(|(have, _)| *have == id) {
            Some((_, slot)) => *slot = value,
            None => self.0.push((id, value)),
        }
    }

    /// The value of type `T`, if the application gave one.
    pub fn find<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let id = TypeId::of::<T>();
        let (_, value) = self.0.iter().find(|(have, _)| *have == id)?;
        Arc::clone(value).downcast().ok()
    }

    /// Whether all of `needs` are here; else the first that is not.
    pub(crate) fn missing<'n>(&self, needs: &'n Needs) -> Option<&'n StateNeed> {
        needs.0.iter().find(|need| !self.0.iter().any(|(have, _)| *have == need.id))
    }
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "States({})", self.0.len())
    }
}

/// What a handler cannot run without, collected from its arguments when it is registered.
#[derive(Debug, Default, Clone)]
pub struct Needs(Vec<StateNeed>);

impl Needs {
    /// The handler asks for `State<T>`.
    pub fn state<T: Send + Sync + 'static>(&mut self) {
        self.0.push(StateNeed { id: TypeId::of::<T>(), name: type_name::<T>() });
    }
}

/// One state a handler asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StateNeed {
    id: TypeId,
    pub(crate) name: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_per_type_the_last_wins() {
        let mut states = States::default();
        states.insert(1_u8);
        states.insert("text");
        states.insert(2_u8);
        assert_eq!(states.find::<u8>().as_deref(), Some(&2));
        assert_eq!(states.find::<&str>().as_deref(), Some(&"text"));
        assert_eq!(states.find::<u16>(), None);
    }

    #[test]
    fn names_what_is_missing() {
        let mut states = States::default();
        states.insert(1_u8);
        let mut needs = Needs::default();
        needs.state::<u8>();
        assert!(states.missing(&needs).is_none());
        needs.state::<String>();
        assert_eq!(states.missing(&needs).unwrap().name, "alloc::string::String");
    }
}
