//! [`Publisher`]: what this server says, and the connections on which it does.
//!
//! Publishing takes a place in a queue, bounded in bytes; one task sends what is there, all that waits at once. What
//! was on its way when a connection was lost may or may not have arrived: it is not sent again, because nothing may
//! arrive twice, and counted as lost.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::{Cmd, Pipeline, PushInfo, PushKind, RedisResult, Value, cmd};
use sockeye_cluster::BusError;
use tokio::sync::{Notify, oneshot, watch};

use crate::backoff::Backoff;
use crate::health::{Health, Part};
use crate::lanes::{self, Breadth, Lanes, nowhere};
use crate::redis::Redis;
use crate::subscriber::is_elsewhere;

/// Says things. Shared by the bus and by the task that sends.
pub(crate) struct Publisher {
    health: Arc<Health>,
    queue: Mutex<Queue>,
    filled: Notify,
    /// The connections are to be given up.
    wrong: Notify,
    /// Nothing waits and nothing is on its way.
    idle: Notify,
    /// The connections, while they are there. Questions to Redis itself go there directly.
    lanes: watch::Sender<Option<Lanes>>,
    limit: AtomicUsize,
    lost: AtomicU64,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Publication>,
    bytes: usize,
    under_way: bool,
}

/// Something to be published.
pub(crate) struct Publication {
    pub(crate) channel: String,
    pub(crate) body: Vec<u8>,
    /// By `SPUBLISH`, to those who listen to the channel in its slot.
    pub(crate) sharded: bool,
    /// Who wants to know.
    pub(crate) done: Option<oneshot::Sender<Result<(), BusError>>>,
}

impl Publisher {
    /// One that keeps so many bytes.
    pub(crate) fn new(health: Arc<Health>, limit: usize) -> Publisher {
        Publisher {
            health,
            queue: Mutex::default(),
            filled: Notify::new(),
            wrong: Notify::new(),
            idle: Notify::new(),
            lanes: watch::Sender::default(),
            limit: AtomicUsize::new(limit),
            lost: AtomicU64::new(0),
        }
    }

    /// Keeps so many bytes from now on.
    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Takes something to be published.
    ///
    /// # Errors
    /// When it is not taken.
    pub(crate) fn publish(&self, publication: Publication) -> Result<(), BusError> {
        if self.health.is_closed() {
            return Err(BusError::Closed);
        }
        let size = publication.size();
        let mut queue = self.lock();
        // One that is greater than all of it goes alone.
        if queue.bytes > 0 && queue.bytes.saturating_add(size) > self.limit.load(Ordering::Relaxed) {
            return Err(BusError::Full);
        }
        queue.bytes += size;
        queue.waiting.push_back(publication);
        drop(queue);
        self.filled.notify_one();
        Ok(())
    }

    /// The connections, if they are there.
    pub(crate) fn lanes(&self) -> Result<Lanes, BusError> {
        self.lanes.borrow().clone().ok_or_else(|| self.health.refusal())
    }

    /// The connections, as they come and go.
    pub(crate) fn lanes_later(&self) -> watch::Receiver<Option<Lanes>> {
        self.lanes.subscribe()
    }

    /// The connections lead to the wrong servers.
    pub(crate) fn reconnect(&self) {
        self.wrong.notify_one();
    }

    /// How many publications Redis did not confirm or did not take.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(crate) fn count_lost(&self, count: u64) {
        self.lost.fetch_add(count, Ordering::Relaxed);
    }

    /// How many servers listen to a channel, on all servers of Redis together.
    pub(crate) async fn listeners(&self, channel: String, sharded: bool) -> Result<usize, BusError> {
        let lanes = self.lanes()?;
        let command = cmd("PUBSUB").arg(if sharded { "SHARDNUMSUB" } else { "NUMSUB" }).arg(channel).take();
        let answers = lanes.ask_all(&command).await.map_err(|error| BusError::other(&error))?;
        Ok(answers.iter().filter_map(|answer| lanes::counts(answer).next()).sum())
    }

    /// Done when nothing waits any more.
    pub(crate) async fn drained(&self) {
        loop {
            let idle = self.idle.notified();
            {
                let queue = self.lock();
                if queue.waiting.is_empty() && !queue.under_way {
                    return;
                }
            }
            idle.await;
        }
    }

    /// The task. Ends when the bus is closed.
    pub(crate) async fn run(self: Arc<Self>, redis: Redis, part: Part) {
        let mut backoff = Backoff::default();
        let work = async {
            loop {
                let error = match self.session(&redis, &part, &mut backoff).await {
                    Ok(never) => match never {},
                    Err(error) => error,
                };
                self.lanes.send_replace(None);
                part.down(&error);
                tokio::time::sleep(backoff.next()).await;
            }
        };
        tokio::select! {
            () = work => {}
            () = self.health.closed() => {}
        }
        self.lanes.send_replace(None);
        let left = std::mem::take(&mut self.lock().waiting);
        self.count_lost(left.len() as u64);
        left.into_iter().for_each(|publication| publication.tell(Err(BusError::Closed)));
    }

    /// One set of connections, from beginning to end.
    async fn session(&self, redis: &Redis, part: &Part, backoff: &mut Backoff) -> RedisResult<Infallible> {
        let lost = Arc::new(Notify::new());
        let ears = Arc::clone(&lost);
        let on_push = move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                ears.notify_one();
            }
        };
        let lanes = Lanes::open(redis, Breadth::All, Some(Arc::new(on_push))).await?;
        self.lanes.send_replace(Some(lanes.clone()));
        part.up();
        loop {
            while self.send_some(&lanes).await? {}
            tokio::select! {
                () = self.filled.notified() => {}
                () = self.wrong.notified() => return Err(nowhere("other servers are responsible now")),
                () = lost.notified() => return Err(nowhere("the connection was closed")),
                () = tokio::time::sleep(redis.heartbeat) => {
                    lanes.look().await?;
                    backoff.reset();
                }
            }
        }
    }

    /// Sends what waits; whether there was anything.
    async fn send_some(&self, lanes: &Lanes) -> RedisResult<bool> {
        let batch = self.take();
        if batch.is_empty() {
            self.idle.notify_waiters();
            return Ok(false);
        }
        let mut by_lane: Vec<(Pipeline, Vec<Publication>)> = Vec::new();
        by_lane.resize_with(lanes.len(), Default::default);
        for publication in batch {
            let lane = if publication.sharded { lanes.of(&publication.channel) } else { 0 };
            by_lane[lane].0.add_command(publication.command());
            by_lane[lane].1.push(publication);
        }
        let mut under_way = Vec::new();
        for (at, (pipeline, publications)) in by_lane.into_iter().enumerate() {
            if !publications.is_empty() {
                let lane = lanes.lane(at).clone();
                let sent = tokio::spawn(async move { lanes::send(&lane, &pipeline).await });
                under_way.push((sent, publications));
            }
        }
        let mut failed = None;
        for (sent, publications) in under_way {
            match sent.await.unwrap_or_else(|_| Err(nowhere("the runtime stops"))) {
                Ok(answers) => {
                    failed = self.answered(answers, publications).err().or(failed);
                }
                Err(error) => {
                    self.count_lost(publications.len() as u64);
                    tracing::warn!(count = publications.len(), %error, "publications may be lost");
                    let told = BusError::Down(error.to_string().into());
                    publications.into_iter().for_each(|publication| publication.tell(Err(told.clone())));
                    failed = Some(error);
                }
            }
        }
        self.lock().under_way = false;
        failed.map_or(Ok(true), Err)
    }

    /// Tells who wants to know. An error says that the connections lead to the wrong servers.
    fn answered(&self, answers: Vec<Value>, publications: Vec<Publication>) -> RedisResult<()> {
        let mut elsewhere = None;
        let mut again = Vec::new();
        for (answer, publication) in answers.into_iter().zip(publications) {
            match answer.extract_error() {
                Ok(_) => publication.tell(Ok(())),
                // It was not published, and will be when the right server is known.
                Err(error) if is_elsewhere(&error) => {
                    elsewhere = Some(error);
                    again.push(publication);
                }
                Err(error) => {
                    self.count_lost(1);
                    tracing::warn!(%error, "Redis does not publish it");
                    publication.tell(Err(BusError::other(&error)));
                }
            }
        }
        let mut queue = self.lock();
        for publication in again.into_iter().rev() {
            queue.bytes += publication.size();
            queue.waiting.push_front(publication);
        }
        elsewhere.map_or(Ok(()), Err)
    }

    /// As much as is sent at once.
    fn take(&self) -> Vec<Publication> {
        let mut queue = self.lock();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < AT_ONCE && bytes < BYTES_AT_ONCE {
            let Some(publication) = queue.waiting.pop_front() else { break };
            bytes += publication.size();
            batch.push(publication);
        }
        queue.bytes -= bytes;
        queue.under_way = !batch.is_empty();
        batch
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Publication {
    /// One that nobody asks after.
    pub(crate) fn new(channel: String, body: Vec<u8>, sharded: bool) -> Publication {
        Publication { channel, body, sharded, done: None }
    }

    fn command(&self) -> Cmd {
        cmd(if self.sharded { "SPUBLISH" } else { "PUBLISH" }).arg(&*self.channel).arg(&*self.body).take()
    }

    /// With what keeping it costs besides.
    fn size(&self) -> usize {
        self.channel.len() + self.body.len() + 128
    }

    fn tell(self, how: Result<(), BusError>) {
        if let Some(done) = self.done {
            // Who asked may have stopped waiting.
            let _ = done.send(how);
        }
    }
}

const AT_ONCE: usize = 512;
const BYTES_AT_ONCE: usize = 1 << 20;
