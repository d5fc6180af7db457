//! The course of a run: connections, warming up, measuring, the end; a signal ends it early and nothing is lost.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};
use mio::{Poll, Waker};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use super::args::{BenchArgs, Scenario};
use super::driver::WAKE;
use super::plan::Plan;
use super::process::{self, Processes};
use super::report::{Report, Server};
use super::shared::{Phase, Shared};
use super::tally::Tally;

/// How often is looked whether something is over.
const TICK: Duration = Duration::from_millis(50);

/// Runs the plan's threads through all phases.
pub(super) async fn conduct(
    args: &BenchArgs,
    plan: Plan,
    processes: Option<Processes>,
) -> anyhow::Result<Report> {
    let mut course = Course::new(args, plan, processes)?;
    let ended = course.run().await;
    course.bar.finish_and_clear();
    course.shared.enter(Phase::Stop);
    let tally = course.join()?;
    let how = ended?;
    let connections = course.shared.up.load(Ordering::Relaxed);
    if how != Ending::Interrupted && connections == 0 && tally.done == 0 && args.scenario != Scenario::Idle {
        bail!("nothing could be measured: {}", reasons(&tally));
    }
    let plan = &course.plan;
    Ok(Report {
        scenario: args.scenario,
        url: args.url.clone(),
        load: plan.describe(args),
        parameters: plan.parameters(args),
        connections,
        tally,
        elapsed: course.elapsed,
        own: course.own,
        threads: plan.threads,
        server: course.processes.is_some().then_some(course.server),
        asked_rate: plan.asked_rate(),
        shows_series: args.rate.is_some_and(|rate| rate.from != rate.to),
        is_interrupted: how == Ending::Interrupted,
        assertions: args.assertions.clone(),
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Complete,
    Interrupted,
}

struct Course<'a> {
    args: &'a BenchArgs,
    plan: Arc<Plan>,
    shared: Arc<Shared>,
    threads: Vec<std::thread::JoinHandle<std::io::Result<Tally>>>,
    processes: Option<Processes>,
    server: Server,
    signals: [Signal; 2],
    bar: ProgressBar,
    elapsed: Duration,
    own: Duration,
}

impl<'a> Course<'a> {
    fn new(args: &'a BenchArgs, plan: Plan, processes: Option<Processes>) -> anyhow::Result<Self> {
        let signals = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
        let polls = (0..plan.threads).map(|_| Poll::new()).collect::<Result<Vec<_>, _>>()?;
        let wakers = polls
            .iter()
            .map(|poll| Waker::new(poll.registry(), WAKE).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        let shared = Arc::new(Shared::new(wakers));
        let plan = Arc::new(plan);
        let server = match &processes {
            Some(processes) => Server { before: processes.usage()?, ..Server::default() },
            None => Server::default(),
        };
        if args.scenario == Scenario::Connect {
            shared.enter(Phase::Measure);
        }
        let threads = polls
            .into_iter()
            .enumerate()
            .map(|(at, poll)| {
                let (plan, shared) = (plan.clone(), shared.clone());
                std::thread::Builder::new()
                    .name(format!("bench-{at}"))
                    .spawn(move || plan.thread(at, poll, shared))
            })
            .collect::<Result<Vec<_>, _>>()
            .context("a thread cannot start")?;
        Ok(Self {
            args,
            plan,
            shared,
            threads,
            processes,
            server,
            signals,
            // Only draws on terminals.
            bar: ProgressBar::new(0),
            elapsed: Duration::ZERO,
            own: Duration::ZERO,
        })
    }

    async fn run(&mut self) -> anyhow::Result<Ending> {
        if self.args.scenario == Scenario::Connect {
            return self.measured(true).await;
        }
        if self.ramp().await? == Ending::Interrupted {
            return Ok(Ending::Interrupted);
        }
        if self.args.scenario != Scenario::ReconnectStorm {
            self.shared.enter(Phase::Warmup);
            self.show("warming up", self.args.warmup.as_millis() as u64);
            let start = Instant::now();
            while start.elapsed() < self.args.warmup {
                self.bar.set_position(start.elapsed().as_millis() as u64);
                if self.tick().await? == Ending::Interrupted {
                    return Ok(Ending::Interrupted);
                }
            }
        }
        let ending = self.measured(self.args.scenario.ends_itself()).await?;
        if ending == Ending::Complete && self.args.scenario == Scenario::SlowConsumer {
            self.shared.enter(Phase::Drain);
            sleep(Duration::from_secs(2)).await;
        }
        Ok(ending)
    }

    /// Until every connection is up or has failed.
    async fn ramp(&mut self) -> anyhow::Result<Ending> {
        let expected = self.plan.expected();
        self.show("connecting", expected as u64);
        let (mut last, mut since) = (0, Instant::now());
        loop {
            let up = self.shared.up.load(Ordering::Relaxed);
            let settled = up + self.shared.failed.load(Ordering::Relaxed);
            self.bar.set_position(up as u64);
            if settled >= expected {
                if expected > 0 && up == 0 {
                    bail!("no connection came about: {}", reasons(&self.stop()?));
                }
                return Ok(Ending::Complete);
            }
            if settled != last {
                (last, since) = (settled, Instant::now());
            } else if since.elapsed() > self.args.timeout + Duration::from_secs(2) {
                let reasons = reasons(&self.stop()?);
                bail!("{up} of {expected} clients are ready and the others do not get on: {reasons}");
            }
            if self.tick().await? == Ending::Interrupted {
                return Ok(Ending::Interrupted);
            }
        }
    }

    /// The measured time: the duration's, or until every thread has finished and no longer than ten durations.
    async fn measured(&mut self, ends_itself: bool) -> anyhow::Result<Ending> {
        if let Some(processes) = &self.processes {
            self.server.start = processes.usage()?;
        }
        let own = process::own();
        let start = Instant::now();
        self.shared.enter(Phase::Measure);
        let most = if ends_itself { self.args.duration * 10 } else { self.args.duration };
        self.show("measuring", most.as_millis() as u64);
        let ending = loop {
            if ends_itself && self.is_finished() {
                break Ending::Complete;
            }
            let left = most.saturating_sub(start.elapsed());
            if left.is_zero() {
                break Ending::Complete;
            }
            self.bar.set_position(start.elapsed().as_millis() as u64);
            let done = self.shared.done.load(Ordering::Relaxed);
            self.bar.set_message(format!("measuring: {done} {}", self.args.scenario.counts()));
            if self.tick().await? == Ending::Interrupted {
                break Ending::Interrupted;
            }
        };
        self.elapsed = start.elapsed();
        self.own = process::own().saturating_sub(own);
        if let Some(processes) = &self.processes {
            // A server that is gone by now has been measured up to its last sign of life.
            self.server.end = processes.usage().unwrap_or(self.server.end);
            self.server.peak = self.server.peak.max(self.server.end.resident);
        }
        Ok(ending)
    }

    fn is_finished(&self) -> bool {
        if self.args.scenario == Scenario::Connect {
            let up = self.shared.up.load(Ordering::Relaxed);
            return up + self.shared.failed.load(Ordering::Relaxed) >= self.plan.expected();
        }
        self.shared.finished.load(Ordering::Relaxed) >= self.plan.threads
    }

    /// A moment passes; or a signal comes.
    async fn tick(&mut self) -> anyhow::Result<Ending> {
        if self.threads.iter().any(std::thread::JoinHandle::is_finished) {
            self.stop()?;
            bail!("a thread of the generator ended by itself");
        }
        if let Some(usage) = self.processes.as_ref().and_then(|processes| processes.usage().ok()) {
            self.server.peak = self.server.peak.max(usage.resident);
            self.server.end = usage;
        }
        let [interrupt, terminate] = &mut self.signals;
        tokio::select! {
            () = sleep(TICK) => Ok(Ending::Complete),
            _ = interrupt.recv() => Ok(Ending::Interrupted),
            _ = terminate.recv() => Ok(Ending::Interrupted),
        }
    }

    /// Ends the threads before their time.
    fn stop(&mut self) -> anyhow::Result<Tally> {
        self.shared.enter(Phase::Stop);
        self.join()
    }

    /// Adds up what the threads counted.
    fn join(&mut self) -> anyhow::Result<Tally> {
        let mut sum = Tally::new((self.args.duration / 60).max(Duration::from_secs(1)));
        for thread in self.threads.drain(..) {
            let tally = thread.join().map_err(|_| anyhow!("a thread of the generator panicked"))?;
            sum.add(tally.context("a thread of the generator failed")?);
        }
        Ok(sum)
    }

    fn show(&self, what: &'static str, length: u64) {
        self.bar.set_length(length);
        self.bar.set_message(what);
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {percent} %") {
            self.bar.set_style(style);
        }
    }
}

fn reasons(tally: &Tally) -> String {
    let reasons: Vec<String> = tally.faults.iter().map(|(why, times)| format!("{why} ({times} ×)")).collect();
    if reasons.is_empty() { "no reason is known".to_owned() } else { reasons.join("; ") }
}
