//! The line that is typed, and the lines that come in between.

use std::collections::BTreeSet;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Config, Editor, ExternalPrinter, Helper, Highlighter, Hinter, Validator};
use tokio::sync::{mpsc, oneshot};

use super::command::WORDS;

/// Where lines go that were not typed: above the prompt, if there is one.
#[derive(Clone)]
pub(super) struct Screen {
    printer: Arc<Mutex<Option<Box<dyn ExternalPrinter + Send>>>>,
    colours: bool,
}

impl Screen {
    pub(super) fn say(&self, line: &str) {
        let line = format!("{line}\n");
        let mut printer = self.printer.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = printer.as_mut().is_some_and(|printer| printer.print(line.clone()).is_ok());
        if !shown {
            // Whoever has stopped reading needs no complaint.
            let _ = std::io::stdout().write_all(line.as_bytes());
        }
    }

    /// Whether somebody types, so that lines come above a prompt.
    pub(super) fn is_live(&self) -> bool {
        self.printer.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Dim: what was not asked for.
    pub(super) fn dim(&self, line: &str) {
        self.say(&self.painted("2", line));
    }

    pub(super) fn bad(&self, line: &str) {
        self.say(&self.painted("31", line));
    }

    pub(super) fn painted(&self, colour: &str, text: &str) -> String {
        match self.colours {
            true => format!("\u{1b}[{colour}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }
}

/// What has been heard of so far, to be completed.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) events: BTreeSet<String>,
    pub(super) namespaces: BTreeSet<String>,
    /// What stands in front of the line.
    pub(super) prompt: String,
}

impl Heard {
    /// Names are the server's to choose: no more than this many are kept.
    pub(super) fn event(&mut self, name: &str) {
        if self.events.len() < 1000 && name.len() < 200 && !name.chars().any(char::is_control) {
            self.events.insert(name.to_owned());
        }
    }
}

pub(super) type Shared = Arc<Mutex<Heard>>;

/// A typed line, and whom to tell that it is done with, so that the next prompt comes after what it says.
pub(super) type Typed = (String, oneshot::Sender<()>);

/// What has been set up.
pub(super) struct Lines {
    pub(super) screen: Screen,
    /// Ends with the lines.
    pub(super) typed: mpsc::Receiver<Typed>,
    /// The first prompt comes when this is told.
    pub(super) go: oneshot::Sender<()>,
}

/// Makes ready to read lines, in a thread of its own.
pub(super) fn start(heard: &Shared, history: Option<PathBuf>) -> anyhow::Result<Lines> {
    let (sender, typed) = mpsc::channel(1);
    let (go, begin) = oneshot::channel();
    let colours = !matches!(anstream::AutoStream::choice(&std::io::stdout()), anstream::ColorChoice::Never);
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        std::thread::spawn(move || {
            if begin.blocking_recv().is_err() {
                return;
            }
            for line in std::io::stdin().lock().lines() {
                let Ok(line) = line else { break };
                if !ask(&sender, line) {
                    break;
                }
            }
        });
        return Ok(Lines { screen: Screen { printer: Arc::default(), colours }, typed, go });
    }
    let config = Config::builder().auto_add_history(true).max_history_size(2000)?.build();
    let mut editor: Editor<Words, FileHistory> = Editor::with_config(config).context("the terminal")?;
    editor.set_helper(Some(Words { heard: Arc::clone(heard), files: FilenameCompleter::new() }));
    if let Some(history) = &history {
        // There is none the first time.
        let _ = editor.load_history(history);
    }
    let printer = editor.create_external_printer().context("the terminal")?;
    let screen = Screen { printer: Arc::new(Mutex::new(Some(Box::new(printer)))), colours };
    let heard = Arc::clone(heard);
    std::thread::spawn(move || {
        if begin.blocking_recv().is_err() {
            return;
        }
        loop {
            let prompt = heard.lock().unwrap_or_else(PoisonError::into_inner).prompt.clone();
            match editor.readline(&prompt) {
                Ok(line) => {
                    if !ask(&sender, line) {
                        break;
                    }
                }
                // Ctrl-C throws the line away, as shells do.
                Err(ReadlineError::Interrupted) => {}
                Err(_) => break,
            }
        }
        if let Some(history) = &history {
            if let Some(directory) = history.parent() {
                let _ = private(directory);
            }
            let _ = editor.save_history(history);
        }
    });
    Ok(Lines { screen, typed, go })
}

/// The file that remembers lines: `$XDG_STATE_HOME/sockeye/history`.
pub(super) fn history() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(state.join("sockeye/history"))
}

/// Hands a line over and waits until it is done with. Whether there will be another.
fn ask(sender: &mpsc::Sender<Typed>, line: String) -> bool {
    let (done, wait) = oneshot::channel();
    sender.blocking_send((line, done)).is_ok() && wait.blocking_recv().is_ok()
}

/// Lines hold what people sent: nobody else reads them.
fn private(directory: &std::path::Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

#[derive(Helper, Hinter, Highlighter, Validator)]
struct Words {
    heard: Shared,
    files: FilenameCompleter,
}

impl Completer for Words {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _context: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = line.get(..position).unwrap_or_default();
        let start = before.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        let word = &before[start..];
        if let Some(path) = word.strip_prefix('@') {
            let (from, pairs) = self.files.complete_path(path, path.len())?;
            return Ok((start + 1 + from, pairs));
        }
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let mut words = before[..start].split_whitespace();
        let all: Vec<String> = match (words.next(), words.next()) {
            (None, _) => WORDS.iter().map(|word| (*word).to_owned()).collect(),
            (Some("emit" | "call" | "on" | "off"), None) => {
                heard.events.iter().map(|name| quoted(name)).collect()
            }
            (Some(".ns"), None) => heard.namespaces.iter().cloned().collect(),
            (Some(".raw"), None) => vec!["on".to_owned(), "off".to_owned()],
            _ => Vec::new(),
        };
        let pair = |text: String| Pair { display: text.clone(), replacement: format!("{text} ") };
        Ok((start, all.into_iter().filter(|text| text.starts_with(word)).map(pair).collect()))
    }
}

/// A name as the line wants it.
fn quoted(name: &str) -> String {
    match name.contains([' ', '"']) {
        true => serde_json::Value::from(name).to_string(),
        false => name.to_owned(),
    }
}
