//! What can be typed, read.

use anyhow::{Context as _, bail};
use sockeye_client::Value;

use crate::values::values;

/// A line, understood.
#[derive(Debug, PartialEq)]
pub(super) enum Command {
    Nothing,
    Emit(String, Vec<Value>),
    Call(String, Vec<Value>),
    /// Answers the event of this number.
    Answer(u64, Vec<Value>),
    /// Shows (or else hides) events of these names; without a name it tells what is shown.
    Show(bool, Option<String>),
    /// To this namespace; without a name it tells which there are.
    Namespace(Option<String>),
    /// Shows every frame, or not; without a word the other way than now.
    Raw(Option<bool>),
    Upgrade,
    Drop,
    Stats,
    Help,
    Quit,
}

/// Every first word, for completion.
pub(super) const WORDS: &[&str] =
    &["emit", "call", "answer", "on", "off", ".ns", ".raw", ".upgrade", ".drop", ".stats", ".help", ".quit"];

/// What `.help` says.
pub(super) const HELP: &str = "\
emit EVENT ARGUMENT…    send an event; arguments are JSON, @FILE for bytes, else strings
call EVENT ARGUMENT…    send it and wait for the answer, which is shown with its round trip
answer N ARGUMENT…      answer the event that was shown with #N
on [PATTERN]            show events of these names (* stands for anything)
off [PATTERN]           hide them
.ns [NAMESPACE]         go to a namespace over the same connection; alone: which there are
.raw [on|off]           show every frame with its layers
.upgrade                move from polling to WebSocket now
.drop                   cut the connection as a broken network does, to watch recovery
.stats                  what has gone to and fro
.quit                   leave (Ctrl-D)";

impl Command {
    pub(super) fn read(line: &str) -> anyhow::Result<Command> {
        let (word, rest) = split(line);
        let name = |what: &str| {
            let (name, rest) = event_name(rest).with_context(|| format!("{what}: which event?"))?;
            Ok::<_, anyhow::Error>((name, values(rest)?))
        };
        let one = || (!rest.is_empty()).then(|| rest.to_owned());
        Ok(match word {
            "" => Command::Nothing,
            "emit" => {
                let (name, values) = name("emit")?;
                Command::Emit(name, values)
            }
            "call" => {
                let (name, values) = name("call")?;
                Command::Call(name, values)
            }
            "answer" => {
                let (number, rest) = split(rest);
                let number = number
                    .trim_start_matches('#')
                    .parse()
                    .context("answer: the number of an event, as #3")?;
                Command::Answer(number, values(rest)?)
            }
            "on" => Command::Show(true, one()),
            "off" => Command::Show(false, one()),
            ".ns" => match one() {
                Some(name) if name.starts_with('/') => Command::Namespace(Some(name)),
                Some(name) => Command::Namespace(Some(format!("/{name}"))),
                None => Command::Namespace(None),
            },
            ".raw" => match rest {
                "" => Command::Raw(None),
                "on" => Command::Raw(Some(true)),
                "off" => Command::Raw(Some(false)),
                _ => bail!(".raw: on or off?"),
            },
            ".upgrade" => Command::Upgrade,
            ".drop" => Command::Drop,
            ".stats" => Command::Stats,
            ".help" | "help" | "?" => Command::Help,
            ".quit" | ".exit" | "quit" | "exit" => Command::Quit,
            other => bail!("there is no command {other:?}; .help lists them"),
        })
    }
}

/// A word, or a string in quotes where a name has spaces.
fn event_name(text: &str) -> Option<(String, &str)> {
    if text.starts_with('"') {
        let mut stream = serde_json::Deserializer::from_str(text).into_iter::<String>();
        let name = stream.next()?.ok()?;
        return Some((name, text[stream.byte_offset()..].trim_start()));
    }
    let (name, rest) = split(text);
    (!name.is_empty()).then(|| (name.to_owned(), rest))
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let read = |line| Command::read(line).unwrap();
        assert_eq!(read("  "), Command::Nothing);
        assert_eq!(read(" emit  hi "), Command::Emit("hi".to_owned(), Vec::new()));
        assert_eq!(
            read(r#"call "two words" 1 x"#),
            Command::Call(
                "two words".to_owned(),
                vec![Value::Number(1.into()), Value::String("x".to_owned())]
            )
        );
        assert_eq!(read("answer #3 true"), Command::Answer(3, vec![Value::Bool(true)]));
        assert_eq!(read(".ns admin"), Command::Namespace(Some("/admin".to_owned())));
        assert_eq!(read("off chat*"), Command::Show(false, Some("chat*".to_owned())));
        for slip in ["emit", "emit x {", "answer x", ".raw maybe", "hello", "emit \"open"] {
            assert!(Command::read(slip).is_err(), "{slip}");
        }
        for word in WORDS {
            assert!(HELP.contains(word) || *word == ".help", "{word}");
        }
    }
}
