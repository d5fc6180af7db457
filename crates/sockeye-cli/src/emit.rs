//! `sockeye emit`: one event, and perhaps its answer. For scripts.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use sockeye_client::{CallError, ConnectError};

use crate::options::{Server, seconds};
use crate::session::{self, code};
use crate::values;

/// The flags of `sockeye emit`.
#[derive(Args)]
#[command(after_help = "\
Each argument is JSON, or @FILE for the bytes of a file (@-: standard input); what is neither is a string. Bytes inside of
JSON are {\"$base64\":\"…\"}.

Examples:
  sockeye emit http://localhost:3000 hello                        an event without arguments
  sockeye emit http://localhost:3000/chat say 'hi there' '{\"to\":7}'
  sockeye emit http://localhost:3000 upload photo.jpg @photo.jpg --ack
  sockeye emit http://localhost:3000 add 1 2 --ack | jq '.[0]'    the answer: its arguments in a JSON array

Exit codes: 0 sent (with --ack: and answered); 1 no connection, or refused; 2 wrong usage; 4 not done in time.")]
pub(crate) struct EmitArgs {
    #[command(flatten)]
    server: Server,

    /// The event's name
    #[arg(value_name = "EVENT")]
    event: String,

    /// Its arguments
    #[arg(value_name = "ARGUMENT", allow_negative_numbers = true)]
    arguments: Vec<String>,

    /// Wait for the server's answer, and print it
    #[arg(long)]
    ack: bool,

    /// Seconds for all of it
    #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = seconds)]
    timeout: Duration,
}

impl EmitArgs {
    /// Connects, emits, and leaves.
    ///
    /// # Errors
    /// When the flags cannot be used.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let values = self.arguments.iter().map(|text| values::value(text)).collect::<Result<_, _>>()?;
        let payload = values::event(&self.event, values)?;
        let builder = session::builder(&self.server)?.reconnection(None).connect_timeout(self.timeout);
        session::runtime()?.block_on(async {
            match tokio::time::timeout(self.timeout, self.go(builder, payload)).await {
                Ok(code) => code,
                Err(_) => {
                    eprintln!("sockeye: not done within {:?}", self.timeout);
                    Ok(ExitCode::from(code::TIMED_OUT))
                }
            }
        })
    }

    async fn go(
        &self,
        builder: sockeye_client::Builder,
        payload: sockeye_client::Payload,
    ) -> anyhow::Result<ExitCode> {
        let socket = match builder.connect().await {
            Ok(socket) => socket,
            Err(ConnectError::Setup(error)) => return Err(error.into()),
            Err(error) => {
                eprintln!("sockeye: {}", session::explain(&error, &self.server));
                return Ok(ExitCode::from(code::FAILED));
            }
        };
        if !self.ack {
            socket.emit_payload(payload)?;
            // Resolves when it has left.
            socket.client().close().await;
            return Ok(ExitCode::SUCCESS);
        }
        match socket.call_payload::<()>(payload).timeout(self.timeout).raw().await {
            Ok(answer) => {
                // Whoever has stopped reading needs no complaint.
                let _ = writeln!(std::io::stdout(), "{}", serde_json::Value::from(values::answer(&answer)));
                socket.client().close().await;
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => {
                eprintln!("sockeye: no answer to {:?}: {error}", self.event);
                Ok(ExitCode::from(if error == CallError::TimedOut { code::TIMED_OUT } else { code::FAILED }))
            }
        }
    }
}
