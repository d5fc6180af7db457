//! [`Road`]: what all kinds have in common: a subscriber, a publisher, and their life.

use std::sync::Arc;
use std::time::Duration;

use sockeye_cluster::{Body, BusError, BusFuture, Message};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::health::Health;
use crate::lanes::Breadth;
use crate::publisher::{Publication, Publisher};
use crate::redis::Redis;
use crate::subscriber::{OnMessage, Subscriber};

/// The connections of one bus.
pub(crate) struct Road {
    pub(crate) redis: Redis,
    pub(crate) health: Arc<Health>,
    pub(crate) subscriber: Arc<Subscriber>,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) runtime: Handle,
}

impl Road {
    /// Nothing is connected yet. Panics outside of a tokio runtime.
    pub(crate) fn new(redis: Redis) -> Road {
        let health = Health::new(&redis);
        let publisher = Arc::new(Publisher::new(Arc::clone(&health), MAX_QUEUED));
        Road { redis, health, subscriber: Arc::default(), publisher, runtime: Handle::current() }
    }

    /// Begins to connect.
    pub(crate) fn start(&self, breadth: Breadth, on_message: OnMessage) {
        self.start_publisher();
        let (subscriber, health) = (Arc::clone(&self.subscriber), Arc::clone(&self.health));
        let part = self.health.part();
        self.runtime.spawn(subscriber.run(self.redis.clone(), breadth, health, part, on_message));
    }

    /// Begins to connect in order to publish only.
    pub(crate) fn start_publisher(&self) {
        let part = self.health.part();
        self.runtime.spawn(Arc::clone(&self.publisher).run(self.redis.clone(), part));
    }

    /// Done when everything that is listened to is confirmed.
    pub(crate) fn settled(&self) -> BusFuture<()> {
        if self.health.is_closed() {
            return refuse(BusError::Closed);
        }
        let (settled, health) = (self.subscriber.settled(), Arc::clone(&self.health));
        Box::pin(async move {
            tokio::select! {
                biased;
                () = settled => Ok(()),
                () = health.closed() => Err(BusError::Closed),
            }
        })
    }

    /// Takes a message for publication. One that asks for something is refused while Redis is away: who asks learns it
    /// now rather than by waiting in vain, and nobody is asked what nobody waits for any more.
    pub(crate) fn publish(&self, message: &Message, publication: Publication) -> Result<(), BusError> {
        if wants_answers(&message.body) && !self.health.state().borrow().is_up() {
            return Err(self.health.refusal());
        }
        self.publisher.publish(publication)
    }

    /// The same, done when Redis has it.
    pub(crate) fn publish_confirmed(&self, mut publication: Publication) -> BusFuture<()> {
        let (sender, done) = oneshot::channel();
        publication.done = Some(sender);
        let taken = self.publisher.publish(publication);
        Box::pin(async move {
            taken?;
            done.await.unwrap_or(Err(BusError::Closed))
        })
    }

    /// Sends what was taken, as far as that goes, and lets go of everything.
    pub(crate) fn shutdown(&self) -> BusFuture<()> {
        let (publisher, health) = (Arc::clone(&self.publisher), Arc::clone(&self.health));
        Box::pin(async move {
            if health.state().borrow().is_up() {
                // What is not gone by then is counted as lost.
                let _ = tokio::time::timeout(GOODBYE, publisher.drained()).await;
            }
            health.close();
            Ok(())
        })
    }
}

impl Drop for Road {
    /// Whoever forgets to shut down leaves no task behind.
    fn drop(&mut self) {
        self.health.close();
    }
}

/// Whether answers are waited for.
fn wants_answers(body: &Body) -> bool {
    matches!(
        body,
        Body::Broadcast { request: Some(_), .. }
            | Body::ServerEvent { request: Some(_), .. }
            | Body::FetchSockets { .. }
            | Body::AllRooms { .. }
            | Body::SocketIds { .. }
    )
}

/// A future that has failed already.
pub(crate) fn refuse<T: Send + 'static>(error: BusError) -> BusFuture<T> {
    Box::pin(std::future::ready(Err(error)))
}

/// Bytes that wait for Redis by default.
const MAX_QUEUED: usize = 8 << 20;

/// How long a shutdown waits for what is sent last.
pub(crate) const GOODBYE: Duration = Duration::from_secs(2);
