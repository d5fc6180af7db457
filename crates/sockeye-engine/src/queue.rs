//! A queue whose first item needs no allocation: most outboxes hold one message at a time, for a moment.
//!
//! A broadcast to ten thousand queues one message per recipient until the turn ends; with a plain `VecDeque` that
//! would be ten thousand allocations, made and given back, and pages that stay half empty.

use std::collections::VecDeque;

/// First in, first out.
pub(crate) struct Queue<T> {
    first: Option<T>,
    /// What comes behind it; never there without a first, and given back when it runs empty.
    #[allow(clippy::box_collection, reason = "every outbox has room for this, hardly any has it")]
    rest: Option<Box<VecDeque<T>>>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Queue { first: None, rest: None }
    }
}

impl<T> Queue<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.as_ref().map_or(0, |rest| rest.len())
    }

    pub(crate) fn front(&self) -> Option<&T> {
        self.first.as_ref()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        self.first.iter().chain(self.rest.iter().flat_map(|rest| rest.iter()))
    }

    pub(crate) fn push_back(&mut self, item: T) {
        if self.first.is_none() {
            self.first = Some(item);
        } else {
            self.rest.get_or_insert_default().push_back(item);
        }
    }

    pub(crate) fn pop_front(&mut self) -> Option<T> {
        let next = self.rest.as_mut().and_then(|rest| rest.pop_front());
        if next.is_none() {
            self.rest = None;
        }
        std::mem::replace(&mut self.first, next)
    }

    /// Puts an item before all others, or behind the first if `after_first`.
    pub(crate) fn push_front(&mut self, item: T, after_first: bool) {
        match self.first.take() {
            None => self.first = Some(item),
            Some(first) if after_first => {
                self.first = Some(first);
                self.rest.get_or_insert_default().push_front(item);
            }
            Some(first) => {
                self.first = Some(item);
                self.rest.get_or_insert_default().push_front(first);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_in_first_out() {
        let mut queue = Queue::default();
        assert!(queue.is_empty() && queue.pop_front().is_none());
        for item in 1..=4 {
            queue.push_back(item);
        }
        queue.push_front(0, false);
        queue.push_front(9, true);
        assert_eq!(queue.len(), 6);
        assert_eq!(queue.iter().copied().collect::<Vec<_>>(), [0, 9, 1, 2, 3, 4]);
        assert_eq!(queue.front(), Some(&0));
        for expected in [0, 9, 1, 2, 3, 4] {
            assert_eq!(queue.pop_front(), Some(expected));
        }
        assert!(queue.is_empty() && queue.rest.is_none());
        queue.push_front(7, true);
        assert_eq!((queue.pop_front(), queue.len()), (Some(7), 0));
    }
}
