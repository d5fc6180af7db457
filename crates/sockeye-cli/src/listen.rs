//! `sockeye listen`: what a server says, line by line. For scripts, and for looking on.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use serde_json::json;
use sockeye_client::{ConnectError, Incoming, Notice, Payload};

use crate::options::{Server, seconds};
use crate::session::{self, code};
use crate::values;

/// The flags of `sockeye listen`.
#[derive(Args)]
#[command(after_help = "\
Each event is a line: its name and its arguments as JSON, or with --json an object
  {\"time\":1700000000000,\"namespace\":\"/\",\"event\":\"news\",\"args\":[…],\"ack\":false}
with the time in milliseconds since 1970. Bytes are {\"$base64\":\"…\"}. What happens to the connection goes to standard
error; a lost connection is opened again.

Examples:
  sockeye listen http://localhost:3000
  sockeye listen http://localhost:3000/prices 'tick*' --json | jq '.args[0]'
  sockeye listen http://localhost:3000 ready --count 1 --timeout 30     wait for one event
  sockeye listen http://localhost:3000 --answer '\"ok\"'                  answer whatever asks for it

Exit codes: 0 as many events as --count says, or the reader of the output has gone; 1 no connection, refused, or sent away
for good; 2 wrong usage; 4 time is up; 130 ended by SIGINT or SIGTERM.")]
pub(crate) struct ListenArgs {
    #[command(flatten)]
    server: Server,

    /// Names of events to print; * stands for anything
    #[arg(value_name = "EVENT")]
    events: Vec<String>,

    /// Print each event as a JSON object on a line
    #[arg(long)]
    json: bool,

    /// End after so many events
    #[arg(long, value_name = "COUNT")]
    count: Option<u64>,

    /// End after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,

    /// Answer each event that asks for it with this
    #[arg(long, value_name = "JSON")]
    answer: Option<String>,

    /// Go on trying when the first attempt to connect fails
    #[arg(long)]
    wait: bool,

    /// Say nothing of the connection
    #[arg(long, short)]
    quiet: bool,
}

impl ListenArgs {
    /// Listens until something ends it.
    ///
    /// # Errors
    /// When the flags cannot be used.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let answer = self.answer.as_deref().map(values::value).transpose()?;
        let answer = answer.map(|value| Payload::args(&value)).transpose()?;
        let builder = session::builder(&self.server)?;
        session::runtime()?.block_on(self.go(builder, answer))
    }

    async fn go(
        &self,
        builder: sockeye_client::Builder,
        answer: Option<Payload>,
    ) -> anyhow::Result<ExitCode> {
        let socket = builder.start()?;
        let client = socket.client();
        let (mut events, mut notices) = (socket.received(), client.notices());
        let joined = async {
            if self.wait {
                std::future::pending::<()>().await;
            }
            socket.connect().await
        };
        tokio::pin!(joined);
        let mut waiting = true;
        let mut left = self.count;
        let end = async {
            match self.timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(end);
        let signal = stopped();
        tokio::pin!(signal);
        let code = loop {
            if left == Some(0) {
                break 0;
            }
            tokio::select! {
                // First of all: no flood of events may keep it from ending.
                biased;
                () = &mut end => break if self.count.is_some() { code::TIMED_OUT } else { 0 },
                () = &mut signal => break code::INTERRUPTED,
                event = events.next() => match event {
                    Some(Ok(mut event)) => {
                        let asked = event.ack.is_some();
                        if let (Some(ack), Some(answer)) = (event.ack.take(), &answer) {
                            ack.send_payload(answer)?;
                        }
                        if !self.wants(&event.name) {
                            continue;
                        }
                        if self.print(socket.namespace(), &event, asked).is_err() {
                            break 0;
                        }
                        left = left.map(|left| left.saturating_sub(1));
                    }
                    Some(Err(missed)) => self.tell(&missed.to_string()),
                    None => break code::FAILED,
                },
                outcome = &mut joined, if waiting => {
                    waiting = false;
                    match outcome {
                        Ok(()) => {}
                        Err(ConnectError::Setup(error)) => return Err(error.into()),
                        Err(error) => {
                            eprintln!("sockeye: {}", session::explain(&error, &self.server));
                            break code::FAILED;
                        }
                    }
                }
                Some(notice) = notices.next() => {
                    if let Some(text) = told(&notice) {
                        self.tell(&text);
                    }
                    // The first attempt is told of above.
                    if !waiting || self.wait {
                        match notice {
                            Notice::Refused { .. } | Notice::Disconnected { active: false, .. } => break code::FAILED,
                            _ => {}
                        }
                    }
                }
            }
        };
        drop(events);
        client.close().await;
        Ok(ExitCode::from(code))
    }

    fn wants(&self, name: &str) -> bool {
        self.events.is_empty() || self.events.iter().any(|pattern| matches(pattern, name))
    }

    fn print(&self, namespace: &str, event: &Incoming, asked: bool) -> std::io::Result<()> {
        let args = values::arguments(&event.payload);
        let line = if self.json {
            let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
            let time = u64::try_from(time).unwrap_or(u64::MAX);
            json!({
                "time": time, "namespace": namespace, "event": event.name, "args": args,
                "ack": asked,
            })
            .to_string()
        } else {
            format!("{} {}", crate::doctor::escaped(&event.name, usize::MAX), values::shown(&args))
        };
        // One write for a line: whoever reads along gets whole ones.
        let mut stdout = std::io::stdout();
        stdout.write_all(format!("{}\n", line.trim_end()).as_bytes())?;
        stdout.flush()
    }

    fn tell(&self, text: &str) {
        if !self.quiet {
            eprintln!("sockeye: {}", crate::doctor::escaped(text, 1000));
        }
    }
}

/// What happened to the connection, in words; `None` where nobody needs to know.
pub(crate) fn told(notice: &Notice) -> Option<String> {
    Some(match notice {
        Notice::Connected { namespace, id, recovered } => {
            let again = if *recovered { ", taken up again without a gap" } else { "" };
            format!("connected to {namespace} as {id}{again}")
        }
        Notice::Lost(reason) => format!("connection lost: {reason}"),
        Notice::ConnectFailed(reason) => format!("cannot connect: {reason}"),
        Notice::Waiting(delay) => format!("trying again in {:.1} s", delay.as_secs_f64()),
        Notice::GaveUp => "giving up".to_owned(),
        Notice::UpgradeFailed(failure) => format!("{failure}; polling goes on"),
        Notice::Refused { namespace, refused } => {
            let data = refused.data.as_deref().map(|data| format!(", with data {data}")).unwrap_or_default();
            format!("{namespace} refuses: {}{data}", refused.message)
        }
        Notice::Disconnected { namespace, reason, active: false } => format!("{namespace} is left: {reason}"),
        Notice::Dropped { namespace, payload } => {
            format!("an event to {namespace} was dropped: {}", payload.text())
        }
        _ => return None,
    })
}

/// Whether a name fits a pattern in which `*` stands for anything.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(head) else { return false };
    let mut pieces = rest.split('*').peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return left.ends_with(piece);
        }
        // The earliest place leaves the most for the pieces that follow.
        match left.find(piece) {
            Some(at) => left = &left[at + piece.len()..],
            None => return false,
        }
    }
    true
}

/// Resolves when somebody wants this process to end.
pub(crate) async fn stopped() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let (Ok(mut interrupt), Ok(mut terminate)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        for (pattern, name, fits) in [
            ("news", "news", true),
            ("news", "newsletter", false),
            ("*", "", true),
            ("news*", "newsletter", true),
            ("*:end", "chat:end", true),
            ("*:end", "chat:ending", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }
}
