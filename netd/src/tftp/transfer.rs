//! Sending one file: the engine, without socket and clock.
//!
//! A [`Transfer`] is told what happened and answers with what to do next. It speaks of blocks by their number in the file,
//! from 1 on; reading them and putting them on the wire is the shell's part.

use std::time::{Duration, Instant};

use super::request::Terms;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// The request was accepted.
    Start,
    /// The client acknowledged a block, by its 16-bit number on the wire.
    Ack(u16),
    /// The time named by [`Transfer::next_timeout`] has come.
    Timeout,
    /// The client sent an ERROR packet or closed its port.
    Refused,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Send the option acknowledgement.
    Offer,
    /// Send these blocks.
    Send {
        /// Number of the first, from 1.
        first: u64,
        /// How many; at most the window.
        count: u16,
    },
    /// The client has the whole file.
    Finish,
    /// The client ended the transfer, as firmware does that only wanted to know the size.
    Stop,
    /// The client is silent.
    GiveUp,
}

/// One transfer.
#[derive(Debug)]
pub(crate) struct Transfer {
    terms: Terms,
    /// Number of the last block, which is shorter than the others and may be empty (RFC 1350 section 6).
    last: u64,
    state: State,
    deadline: Instant,
    tries: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The option acknowledgement was sent (RFC 2347).
    Offering,
    /// Blocks up to `sent` were sent; the client has all up to `acked`.
    Sending {
        acked: u64,
        sent: u64,
        /// For how many more windows a repeated ACK may be the echo of blocks that were sent twice.
        echoes: u8,
    },
    Over,
}

impl Transfer {
    /// A transfer of `bytes` bytes.
    pub(crate) fn new(now: Instant, terms: Terms, bytes: u64) -> Self {
        let last = bytes / u64::from(terms.block_bytes) + 1;
        Self { terms, last, state: State::Offering, deadline: now, tries: 0 }
    }

    /// When to call again with [`Input::Timeout`]; `None` when the transfer is over.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        (self.state != State::Over).then_some(self.deadline)
    }

    /// Takes one input and returns what to do, or `None` if it changes nothing.
    pub(crate) fn handle(&mut self, now: Instant, input: Input) -> Option<Effect> {
        match (self.state, input) {
            (State::Over, _) => None,
            (_, Input::Refused) => self.end(Effect::Stop),
            (State::Offering, Input::Start) if self.terms.offers() => {
                self.wait(now);
                Some(Effect::Offer)
            }
            (State::Offering, Input::Start | Input::Ack(0)) => self.send_from(now, 0, 0),
            (State::Sending { acked, sent, echoes }, Input::Ack(block)) => {
                // Wire numbers are the lowest 16 bits and go on with 0 after 65535. A window is far shorter than that, so the
                // distance from the last acknowledged block is unambiguous.
                let ahead = u64::from(block.wrapping_sub(low16(acked)));
                if ahead > sent - acked {
                    None
                } else if ahead > 0 {
                    self.acknowledged(now, acked + ahead, echoes.saturating_sub(1))
                } else if self.terms.window > 1 && echoes == 0 {
                    // The first block of the window was lost (RFC 7440 section 4). One repetition, and none for the window
                    // after it: the acknowledgements of doubled blocks must not double the next ones.
                    self.send_from(now, acked, ECHOES)
                } else {
                    // A late duplicate. Answering it would double every later block, the "Sorcerer's Apprentice" bug that
                    // RFC 1123 section 4.2.3.1 forbids.
                    None
                }
            }
            (_, Input::Timeout) if now < self.deadline => None,
            (state, Input::Timeout) => self.retry(now, state),
            (State::Offering, Input::Ack(_)) | (State::Sending { .. }, Input::Start) => None,
        }
    }

    fn acknowledged(&mut self, now: Instant, acked: u64, echoes: u8) -> Option<Effect> {
        self.tries = 0;
        if acked >= self.last { self.end(Effect::Finish) } else { self.send_from(now, acked, echoes) }
    }

    fn send_from(&mut self, now: Instant, acked: u64, echoes: u8) -> Option<Effect> {
        let count = self.last.saturating_sub(acked).min(u64::from(self.terms.window));
        self.state = State::Sending { acked, sent: acked + count, echoes };
        self.wait(now);
        Some(Effect::Send { first: acked + 1, count: u16::try_from(count).unwrap_or(1) })
    }

    fn retry(&mut self, now: Instant, state: State) -> Option<Effect> {
        self.tries += 1;
        if self.tries >= if self.heard() { TRIES } else { TRIES_UNHEARD } {
            return self.end(Effect::GiveUp);
        }
        match state {
            State::Sending { acked, .. } => self.send_from(now, acked, ECHOES),
            State::Offering => {
                self.wait(now);
                Some(Effect::Offer)
            }
            State::Over => None,
        }
    }

    fn end(&mut self, how: Effect) -> Option<Effect> {
        self.state = State::Over;
        Some(how)
    }

    /// Whether the client acknowledged a block.
    fn heard(&self) -> bool {
        matches!(self.state, State::Sending { acked: 1.., .. })
    }

    fn wait(&mut self, now: Instant) {
        let wait = match self.terms.timeout {
            Some(agreed) => agreed,
            None => ((if self.heard() { FIRST_WAIT } else { FIRST_WAIT_UNHEARD })
                * 2_u32.saturating_pow(self.tries))
            .min(LONGEST_WAIT),
        };
        self.deadline = now + wait;
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the lowest 16 bits are what is wanted")]
pub(crate) fn low16(block: u64) -> u16 {
    block as u16
}

/// The window that is repeated and the one after it.
const ECHOES: u8 = 2;
/// How long to wait for an answer when the client did not say (RFC 2349); doubled with every repetition. A lost packet costs this
/// much, an answer takes a thousandth of it.
const FIRST_WAIT: Duration = Duration::from_millis(300);
/// The same for a client that never answered. Firmware may take its time to open a file.
const FIRST_WAIT_UNHEARD: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(4);
/// How often something is sent to a client that has answered before, for about half a minute: boot loaders fall silent while they
/// check what they have.
const TRIES: u32 = 12;
/// How often to one that never did. Its address may be forged, and each try sends a block to whoever owns it.
const TRIES_UNHEARD: u32 = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn terms(block_bytes: u16, window: u16) -> Terms {
        Terms { block_bytes, window, timeout: None, confirmed: Vec::new() }
    }

    /// A transfer and a clock that is moved by hand.
    struct Play {
        transfer: Transfer,
        now: Instant,
    }

    impl Play {
        fn new(terms: Terms, bytes: u64) -> Self {
            let now = inventory::clock::instant();
            Self { transfer: Transfer::new(now, terms, bytes), now }
        }

        fn tell(&mut self, input: Input) -> Option<Effect> {
            self.transfer.handle(self.now, input)
        }

        fn silence(&mut self) -> Option<Effect> {
            self.now = self.transfer.next_timeout().unwrap();
            self.tell(Input::Timeout)
        }
    }

    fn send(first: u64, count: u16) -> Option<Effect> {
        Some(Effect::Send { first, count })
    }

    #[test]
    fn a_file_without_options_goes_block_by_block() {
        let mut play = Play::new(terms(512, 1), 1024);
        assert_eq!(play.tell(Input::Start), send(1, 1));
        assert_eq!(play.tell(Input::Ack(1)), send(2, 1));
        // A length that is a multiple of the block needs an empty block at the end.
        assert_eq!(play.tell(Input::Ack(2)), send(3, 1));
        assert_eq!(play.tell(Input::Ack(3)), Some(Effect::Finish));
        assert_eq!(play.transfer.next_timeout(), None);
    }

    #[test]
    fn rfc2347_options_are_confirmed_before_the_first_block() {
        let option = tftpd::TransferOption { option: tftpd::OptionType::TransferSize, value: 10 };
        let mut play = Play::new(Terms { confirmed: vec![option], ..terms(512, 1) }, 10);
        assert_eq!(play.tell(Input::Start), Some(Effect::Offer));
        assert_eq!(play.tell(Input::Ack(7)), None);
        assert_eq!(play.silence(), Some(Effect::Offer));
        assert_eq!(play.tell(Input::Ack(0)), send(1, 1));
        assert_eq!(play.tell(Input::Ack(0)), None);
        assert_eq!(play.tell(Input::Ack(1)), Some(Effect::Finish));
    }

    #[test]
    fn rfc1123_4_2_3_1_a_duplicate_ack_sends_nothing() {
        let mut play = Play::new(terms(512, 1), 5000);
        play.tell(Input::Start);
        assert_eq!(play.tell(Input::Ack(1)), send(2, 1));
        assert_eq!(play.tell(Input::Ack(1)), None);
        assert_eq!(play.tell(Input::Ack(0)), None);
        assert_eq!(play.tell(Input::Ack(9)), None);
        assert_eq!(play.tell(Input::Ack(2)), send(3, 1));
    }

    #[test]
    fn rfc7440_a_window_continues_after_the_last_block_that_arrived() {
        let mut play = Play::new(terms(512, 4), 512 * 10);
        assert_eq!(play.tell(Input::Start), send(1, 4));
        assert_eq!(play.tell(Input::Ack(4)), send(5, 4));
        // Block 7 was lost.
        assert_eq!(play.tell(Input::Ack(6)), send(7, 4));
        assert_eq!(play.tell(Input::Ack(10)), send(11, 1));
        assert_eq!(play.tell(Input::Ack(11)), Some(Effect::Finish));
    }

    #[test]
    fn a_lost_first_block_of_a_window_is_repeated_once_and_echoes_are_not_answered() {
        let mut play = Play::new(terms(512, 4), 512 * 100);
        play.tell(Input::Start);
        assert_eq!(play.tell(Input::Ack(4)), send(5, 4));
        assert_eq!(play.tell(Input::Ack(4)), send(5, 4));
        assert_eq!(play.tell(Input::Ack(4)), None);
        assert_eq!(play.tell(Input::Ack(8)), send(9, 4));
        // The client got 5 to 8 twice and acknowledges twice.
        assert_eq!(play.tell(Input::Ack(8)), None);
        assert_eq!(play.tell(Input::Ack(12)), send(13, 4));
    }

    #[test]
    fn a_client_that_never_answered_gets_few_repetitions_and_one_that_did_gets_more() {
        let mut play = Play::new(terms(512, 1), 5000);
        play.tell(Input::Start);
        let tries =
            std::iter::repeat_with(|| play.silence()).take_while(|e| *e != Some(Effect::GiveUp)).count();
        assert_eq!(tries, 3);
        let mut play = Play::new(terms(512, 1), 5000);
        let begin = play.now;
        play.tell(Input::Start);
        play.tell(Input::Ack(1));
        let tries =
            std::iter::repeat_with(|| play.silence()).take_while(|e| *e != Some(Effect::GiveUp)).count();
        assert_eq!(tries, 11);
        assert!((30..40).contains(&(play.now - begin).as_secs()));
    }

    #[test]
    fn a_timeout_before_its_time_changes_nothing() {
        let mut play = Play::new(terms(512, 1), 5000);
        play.tell(Input::Start);
        assert_eq!(play.tell(Input::Timeout), None);
    }

    #[test]
    fn a_client_that_refuses_ends_the_transfer_without_a_fault() {
        let mut play = Play::new(terms(512, 1), 5000);
        play.tell(Input::Start);
        assert_eq!(play.tell(Input::Refused), Some(Effect::Stop));
        assert_eq!(play.tell(Input::Ack(1)), None);
    }

    #[test]
    fn block_numbers_roll_over_to_zero() {
        let blocks = 140_000_u64;
        for window in [1, 16] {
            let mut play = Play::new(terms(8, window), blocks * 8 - 1);
            let mut effect = play.tell(Input::Start);
            while let Some(Effect::Send { first, count }) = effect {
                effect = play.tell(Input::Ack(low16(first + u64::from(count) - 1)));
            }
            assert_eq!(effect, Some(Effect::Finish));
        }
    }

    proptest! {
        /// Over a line that loses, doubles and delays, the client gets every block in order, and the server never sends
        /// more than it is asked for.
        #[test]
        fn every_file_arrives_over_a_bad_line(
            bytes in 0_u64..4000, window in 1_u16..17, fates in proptest::collection::vec(0_u8..10, 64..400),
        ) {
            let mut play = Play::new(terms(64, window), bytes);
            let last = bytes / 64 + 1;
            let mut fates = fates.into_iter().chain(std::iter::repeat(9));
            let (mut have, mut acks) = (0_u64, std::collections::VecDeque::new());
            let mut effect = play.tell(Input::Start);
            let mut steps = 0;
            loop {
                steps += 1;
                prop_assert!(steps < 20_000);
                match effect {
                    Some(Effect::Send { first, count }) => {
                        prop_assert!(first <= have + 1 && count <= window && first + u64::from(count) - 1 <= last);
                        for block in first..first + u64::from(count) {
                            match fates.next() {
                                Some(0) => continue,
                                _ if block == have + 1 => have += 1,
                                _ => acks.push_back(have),
                            }
                            if block == first + u64::from(count) - 1 { acks.push_back(have); }
                        }
                    }
                    Some(Effect::Finish) => break,
                    Some(Effect::GiveUp) => { prop_assume!(false); }
                    _ => {}
                }
                effect = match (acks.pop_front(), fates.next()) {
                    (Some(_), Some(1)) => None,
                    (Some(ack), Some(2)) => { acks.push_back(ack); play.tell(Input::Ack(low16(ack))) }
                    (Some(ack), _) => play.tell(Input::Ack(low16(ack))),
                    (None, _) => play.silence(),
                };
            }
            prop_assert_eq!(have, last);
        }
    }
}
