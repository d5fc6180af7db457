//! What comes in on a connection, message by message: up to the namespace's answer ours, from then on the scenario's.
//!
//! An expected message is recognised in the buffer it was read into; only what is not goes through the frame reader.

use sockeye_proto::websocket::Event;

use super::super::answer::Fed;
use super::super::line::State;
use super::super::words;
use super::{Driver, End, Ends, Field, Scenario, Slot, Turn};

impl<S: Scenario> Driver<S> {
    /// Takes what was read.
    pub(super) fn receive(&mut self, index: usize, mut input: &mut [u8], now: u64) -> Result<(), End> {
        if let Some(line) = &mut self.field.slots[index].line
            && line.state == State::Upgrading
        {
            line.head.extend_from_slice(input);
            let Some(end) = upgraded(&line.head)? else { return Ok(()) };
            let mut rest = std::mem::take(&mut line.head).split_off(end);
            line.state = State::Opening;
            return self.receive(index, &mut rest, now);
        }
        while !input.is_empty() {
            let Some(line) = &mut self.field.slots[index].line else { return Ok(()) };
            if line.state == State::Ready
                && !line.is_mid_message()
                && let Some(pattern) = self.terms.answer.as_ref().and_then(|answer| answer.wire.as_ref())
            {
                match line.matcher.feed(pattern, input) {
                    Fed::Whole { taken, number } => {
                        input = &mut input[taken..];
                        self.answered(index, number, now)?;
                        continue;
                    }
                    Fed::Part => return Ok(()),
                    Fed::Other { mut before } => {
                        let mut before = before.as_mut_slice();
                        while !before.is_empty() {
                            let taken = self.read_one(index, before, now)?;
                            before = &mut before[taken..];
                        }
                    }
                }
            }
            let taken = self.read_one(index, input, now)?;
            input = &mut input[taken..];
        }
        Ok(())
    }

    /// The long way: through the frame reader, up to the end of one message.
    fn read_one(&mut self, index: usize, input: &mut [u8], now: u64) -> Result<usize, End> {
        let Some(line) = &mut self.field.slots[index].line else { return Ok(input.len()) };
        match line.reader.read(input) {
            Err(violation) => Err(End::Fault(format!("not WebSocket: {violation}"))),
            Ok((taken, None)) => Ok(taken),
            Ok((taken, Some(event))) => self.message(index, event, now).map(|()| taken),
        }
    }

    fn message(&mut self, index: usize, event: Event<'_>, now: u64) -> Result<(), End> {
        let Some(line) = &mut self.field.slots[index].line else { return Ok(()) };
        match event {
            Event::Text(text) => self.text(index, &text, now),
            Event::Binary(bytes) => match line.awaiting.take() {
                Some(number) => {
                    let expected = self.terms.answer.as_ref().and_then(|answer| answer.attachment.as_deref());
                    if expected != Some(&*bytes) {
                        return Err(End::Fault("another attachment came back than was sent".to_owned()));
                    }
                    self.answered(index, number, now)
                }
                None => Ok(()),
            },
            Event::Ping(payload) => {
                line.out.extend_from_slice(words::pong(&payload).as_slice());
                Ok(())
            }
            Event::Pong(_) => Ok(()),
            Event::Close(_) if line.state == State::Leaving => Err(End::Left),
            Event::Close(frame) => Err(End::Fault(match frame {
                Some(frame) => {
                    format!("the server closed the WebSocket: {} {}", frame.code.get(), frame.reason)
                }
                None => "the server closed the WebSocket".to_owned(),
            })),
        }
    }

    fn text(&mut self, index: usize, text: &str, now: u64) -> Result<(), End> {
        let number = self.terms.first + index;
        let words = &self.terms.routes[number % self.terms.routes.len()].1;
        let Some(line) = &mut self.field.slots[index].line else { return Ok(()) };
        if text == "2" {
            line.out.extend_from_slice(&words.pong);
            self.field.tally.extra("heartbeats", 1);
            return Ok(());
        }
        match line.state {
            State::Opening if text.starts_with("0{") => {
                line.state = State::Joining;
                line.out.extend_from_slice(&words.connect);
                Ok(())
            }
            State::Joining if text.starts_with("40") => {
                line.state = State::Ready;
                line.muted = index >= self.terms.slow_from;
                let took = now.saturating_sub(line.due);
                self.field.under_way = self.field.under_way.saturating_sub(1);
                self.field.tally.connect(took);
                self.with(index, now, |scenario, turn| scenario.ready(turn))
            }
            State::Joining if text.starts_with("44") => {
                Err(End::Fault(format!("the namespace refused: {}", shortened(text))))
            }
            State::Ready if text.starts_with("41") => {
                Err(End::Fault("the server disconnected the socket".to_owned()))
            }
            State::Ready => match self.terms.answer.as_ref().and_then(|answer| answer.number(text)) {
                Some(number) if self.terms.answer.as_ref().is_some_and(|a| a.attachment.is_some()) => {
                    line.awaiting = Some(number);
                    Ok(())
                }
                Some(number) => self.answered(index, number, now),
                None => self.with(index, now, |scenario, turn| scenario.packet(turn, text)),
            },
            State::Leaving => Ok(()),
            state => {
                let what = shortened(text);
                Err(End::Fault(format!("waiting for {}, got {what:?}", state.waiting_for())))
            }
        }
    }

    fn answered(&mut self, index: usize, number: u64, now: u64) -> Result<(), End> {
        self.with(index, now, |scenario, turn| scenario.answered(turn, number))
    }

    /// Lets the scenario take its turn with a connection.
    fn with(
        &mut self,
        index: usize,
        now: u64,
        act: impl FnOnce(&mut S, &mut Turn<'_, S::Seat>),
    ) -> Result<(), End> {
        let Field { slots, tally, shared, phase, .. } = &mut self.field;
        let Some(Slot { line: Some(line), seat, .. }) = slots.get_mut(index) else { return Ok(()) };
        let mut turn = Turn { line, seat, tally, now, phase: *phase, index, shared, ends: None };
        act(&mut self.scenario, &mut turn);
        match turn.ends {
            None => Ok(()),
            Some(Ends::Fails(why)) => Err(End::Fault(why)),
            Some(Ends::Leaves) => {
                let number = self.terms.first + index;
                line.out.extend_from_slice(&self.terms.routes[number % self.terms.routes.len()].1.leave);
                line.state = State::Leaving;
                Ok(())
            }
        }
    }
}

/// Where the head of the answer to an upgrade ends, if it is whole and says yes.
fn upgraded(head: &[u8]) -> Result<Option<usize>, End> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(head) {
        Ok(httparse::Status::Complete(end)) => match response.code {
            Some(101) => Ok(Some(end)),
            code => Err(End::Fault(format!("HTTP {} instead of the upgrade", code.unwrap_or_default()))),
        },
        Ok(httparse::Status::Partial) if head.len() < 64 << 10 => Ok(None),
        _ => Err(End::Fault("the answer to the upgrade is not HTTP".to_owned())),
    }
}

/// What a server said, in a length fit for a report.
pub(in super::super) fn shortened(text: &str) -> String {
    let mut short: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
