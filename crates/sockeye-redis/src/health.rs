//! [`Health`]: one state made of several connections'.

use std::sync::{Arc, Mutex, PoisonError};

use sockeye_cluster::State;
use tokio::sync::watch;

/// Up when every part is up. Also the bus's life: who works for it stops when it is closed.
pub(crate) struct Health {
    /// Where this is, for the log.
    place: String,
    parts: Mutex<Vec<State>>,
    whole: watch::Sender<State>,
}

impl Health {
    pub(crate) fn new(place: impl ToString) -> Arc<Health> {
        Arc::new(Health {
            place: place.to_string(),
            parts: Mutex::default(),
            whole: watch::Sender::default(),
        })
    }

    /// One more connection that must be there.
    pub(crate) fn part(self: &Arc<Self>) -> Part {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.push(State::Connecting);
        Part { at: parts.len() - 1, health: Arc::clone(self) }
    }

    pub(crate) fn state(&self) -> watch::Receiver<State> {
        self.whole.subscribe()
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.whole.borrow() == State::Closed
    }

    /// For good.
    pub(crate) fn close(&self) {
        self.whole.send_replace(State::Closed);
    }

    /// Done when the bus is closed.
    pub(crate) async fn closed(&self) {
        // The sender is here, so waiting does not fail.
        let _ = self.state().wait_for(|state| *state == State::Closed).await;
    }

    /// Why nothing can be asked now.
    pub(crate) fn refusal(&self) -> sockeye_cluster::BusError {
        use sockeye_cluster::BusError;
        match &*self.whole.borrow() {
            State::Closed => BusError::Closed,
            State::Down { cause, .. } => BusError::Down(Arc::clone(cause)),
            _ => BusError::Down("not connected yet".into()),
        }
    }

    fn set(&self, at: usize, state: State) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(part) = parts.get_mut(at) {
            *part = state;
        }
        let down = parts.iter().find(|part| matches!(part, State::Down { .. }));
        let whole = match down {
            Some(down) => down.clone(),
            None if parts.iter().all(State::is_up) => State::Up,
            None => State::Connecting,
        };
        self.whole.send_if_modified(|now| {
            // What it was lost for first is what an operator wants to know, and since when: the rest follows from it.
            let still = matches!((&*now, &whole), (State::Down { .. }, State::Down { .. }));
            if *now == State::Closed || *now == whole || still {
                return false;
            }
            tracing::debug!(redis = self.place, state = ?whole, "the connections have changed");
            *now = whole;
            true
        });
    }
}

/// One connection's share.
pub(crate) struct Part {
    health: Arc<Health>,
    at: usize,
}

impl Part {
    pub(crate) fn up(&self) {
        self.health.set(self.at, State::Up);
    }

    pub(crate) fn down(&self, cause: &redis::RedisError) {
        let cause = cause.to_string();
        // So the library marks what is an error of ours.
        self.health.set(self.at, State::down(cause.strip_suffix(" - Client").unwrap_or(&cause)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_is_up_when_all_parts_are() {
        let health = Health::new("here");
        let (one, other) = (health.part(), health.part());
        let lost = |why| redis::RedisError::from((redis::ErrorKind::Client, why));
        let state = || health.state().borrow().clone();
        one.up();
        assert_eq!(state(), State::Connecting);
        other.up();
        assert_eq!(state(), State::Up);
        one.down(&lost("first"));
        let first = state();
        assert!(matches!(&first, State::Down { cause, .. } if **cause == *"first"), "{first:?}");
        one.down(&lost("second"));
        assert_eq!(state(), first, "the first cause stays");
        other.down(&lost("third"));
        one.up();
        assert_eq!(state(), first, "as long as anything is down");
        other.up();
        assert!(state().is_up());
        health.close();
        one.down(&lost("late"));
        assert_eq!(state(), State::Closed);
    }
}
