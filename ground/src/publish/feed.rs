//! What all subscriptions of one shape are sent: serialised once, kept for as long as a subscriber may be late.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::ws::Message;
use bytes::Bytes;
use tokio::time::Instant;

use super::cursor::Position;
use super::encode::{Encoding, framed};
use super::filter::Filter;
use super::rounds::{Rounds, Subscriber};

/// The longest that a message waits for a client.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(2);
/// The most that waits for the clients of a feed, bytes.
const MAX_BYTES: usize = 4 << 20;
/// Messages of a piece: what a client is sent before something else may go first.
const MAX_PIECE: usize = 64;
/// Subscribers that are told before those of another feed have their turn.
const TOLD_AT_ONCE: usize = 64;

/// What makes subscriptions get the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    /// The name that the messages carry.
    pub sub: String,
    /// How they are encoded.
    pub encoding: Encoding,
    /// What they are about.
    pub filter: Filter,
}

/// The queue of all subscriptions of a shape.
#[derive(Debug)]
pub struct Feed {
    /// What its subscriptions have in common.
    pub shape: Shape,
    queue: Mutex<Queue>,
    /// Beside the queue: those that have been told read it while the others are.
    subscribers: Mutex<Subscribers>,
    rounds: Arc<Rounds>,
}

/// Some messages in order.
#[derive(Clone, Debug)]
pub struct Piece {
    /// When they were published.
    pub published: Instant,
    /// Everything up to here has been sent with them.
    pub up_to: Position,
    /// Records of the feed, up to these included.
    pub records: u64,
    /// The messages.
    pub messages: Arc<[Message]>,
    /// The same as WebSocket frames.
    pub frames: Bytes,
}

#[derive(Debug, Default)]
struct Queue {
    pieces: VecDeque<Piece>,
    /// The number of the piece in front; pieces are numbered as they come.
    front: u64,
    bytes: usize,
    records: u64,
    open: Vec<Message>,
    /// Whether what is open is about to be closed.
    is_closing: bool,
}

#[derive(Debug, Default)]
struct Subscribers {
    all: BTreeMap<u64, Arc<dyn Subscriber>>,
    next: u64,
    /// Those before this one have been told in the round that is going on, if one is.
    told: Option<u64>,
    /// Whether something has come since the round began.
    again: bool,
}

/// A subscriber's place in the queue.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    next: u64,
    records: u64,
}

/// What comes next for a subscriber.
#[derive(Debug)]
pub enum Next {
    /// Messages.
    Piece(Piece),
    /// It has been dropped or is too old: see [`Feed::skip`].
    Behind,
    /// Nothing yet.
    Nothing,
}

impl Feed {
    /// A feed without subscribers, which are to be told in these rounds.
    pub fn new(shape: Shape, rounds: Arc<Rounds>) -> Self {
        Feed { shape, queue: Mutex::default(), subscribers: Mutex::default(), rounds }
    }

    /// Adds a subscriber, to be told of every piece from here on.
    pub fn join(&self, subscriber: Arc<dyn Subscriber>) -> (u64, Place) {
        let mut subscribers = lock(&self.subscribers);
        let number = subscribers.next;
        subscribers.next += 1;
        subscribers.all.insert(number, subscriber);
        (number, lock(&self.queue).end())
    }

    /// Takes a subscriber out; true when none is left.
    pub fn leave(&self, number: u64) -> bool {
        let mut subscribers = lock(&self.subscribers);
        subscribers.all.remove(&number);
        subscribers.all.is_empty()
    }

    /// Adds a message to the piece that is being made. Returns true when whoever pushes has to close it in the end, false when
    /// that is known.
    pub fn push(&self, now: Instant, up_to: Position, message: Message, is_record: bool) -> bool {
        let mut queue = lock(&self.queue);
        queue.records += u64::from(is_record);
        queue.open.push(message);
        if queue.open.len() >= MAX_PIECE {
            queue.close(now, up_to);
            return true;
        }
        !std::mem::replace(&mut queue.is_closing, true)
    }

    /// Adds a message that may wait until the next one that may not, or [`Feed::flush`].
    pub fn push_patient(self: &Arc<Self>, now: Instant, up_to: Position, message: Message) {
        let is_full = {
            let mut queue = lock(&self.queue);
            queue.open.push(message);
            queue.open.len() >= MAX_PIECE
        };
        if is_full {
            self.close(now, up_to);
        }
    }

    /// Ends the piece that is being made and has the subscribers told.
    pub fn close(self: &Arc<Self>, now: Instant, up_to: Position) {
        lock(&self.queue).close(now, up_to);
        let mut subscribers = lock(&self.subscribers);
        match subscribers.told {
            Some(_) => subscribers.again = true,
            None if subscribers.all.is_empty() => {}
            None => {
                subscribers.told = Some(0);
                self.rounds.begin(self.clone());
            }
        }
    }

    /// Those that are told next, and whether there are more after them.
    pub(super) fn next_to_tell(&self) -> (Vec<Arc<dyn Subscriber>>, bool) {
        let mut subscribers = lock(&self.subscribers);
        let Subscribers { all, told, again, .. } = &mut *subscribers;
        let mut rest = all.range(told.unwrap_or_default()..);
        let some = rest.by_ref().take(TOLD_AT_ONCE).map(|(_, subscriber)| subscriber.clone()).collect();
        *told = rest.next().map(|(&number, _)| number);
        if told.is_none() && std::mem::take(again) {
            *told = Some(0);
        }
        (some, told.is_some())
    }

    /// Ends the piece that is being made, if there is something in it.
    pub fn flush(self: &Arc<Self>, now: Instant, up_to: Position) {
        let is_open = !lock(&self.queue).open.is_empty();
        if is_open {
            self.close(now, up_to);
        }
    }

    /// Drops what has waited too long for everybody.
    pub fn expire(&self, now: Instant) {
        lock(&self.queue).expire(now);
    }

    /// What comes next for a subscriber at `place`, which moves behind it.
    pub fn next(&self, place: &mut Place, now: Instant) -> Next {
        let queue = lock(&self.queue);
        if place.next == queue.end().next {
            return Next::Nothing;
        }
        let piece = place.next.checked_sub(queue.front).and_then(|at| queue.pieces.get(at as usize));
        match piece.filter(|piece| now.duration_since(piece.published) <= MAX_WAIT) {
            Some(piece) => {
                *place = Place { next: place.next + 1, records: piece.records };
                Next::Piece(piece.clone())
            }
            None => Next::Behind,
        }
    }

    /// Moves a place to the end of the queue and returns how many records are left out. Everything up to `published` has been
    /// pushed.
    pub fn skip(&self, place: &mut Place, now: Instant, published: Position) -> u64 {
        let mut queue = lock(&self.queue);
        // What the subscriber is told instead is newer than what is open.
        queue.close(now, published);
        let missed = queue.records - place.records;
        *place = queue.end();
        missed
    }

    /// Whether a subscriber has been given every piece.
    pub fn is_current(&self, place: &Place) -> bool {
        lock(&self.queue).end().next == place.next
    }

    /// Whether a subscriber has been given everything.
    pub fn is_at_end(&self, place: &Place) -> bool {
        let queue = lock(&self.queue);
        queue.open.is_empty() && queue.end().next == place.next
    }
}

impl Piece {
    fn bytes(&self) -> usize {
        self.frames.len() + size_of_val(&*self.messages)
    }
}

impl Queue {
    fn end(&self) -> Place {
        Place { next: self.front + self.pieces.len() as u64, records: self.records }
    }

    fn close(&mut self, now: Instant, up_to: Position) {
        self.is_closing = false;
        if self.open.is_empty() {
            return;
        }
        let (frames, messages) = framed(&self.open);
        self.open.clear();
        let piece = Piece { published: now, up_to, records: self.records, messages, frames };
        self.bytes += piece.bytes();
        self.pieces.push_back(piece);
        self.expire(now);
    }

    fn expire(&mut self, now: Instant) {
        while let Some(front) = self.pieces.front()
            && (self.bytes > MAX_BYTES || now.duration_since(front.published) > MAX_WAIT)
        {
            self.bytes -= front.bytes();
            self.pieces.pop_front();
            self.front += 1;
        }
        if self.pieces.is_empty() {
            self.open.shrink_to_fit();
            self.pieces.shrink_to_fit();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code under these locks can leave anything half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tern_shared::pattern::Pattern;
    use tokio::sync::Notify;

    use super::*;

    fn feed() -> Arc<Feed> {
        let any = ["*".to_owned()];
        let filter = Filter::new(&any, &any, Arc::from([Pattern::anything()])).unwrap();
        Arc::new(Feed::new(Shape { sub: String::new(), encoding: Encoding::Json, filter }, Arc::default()))
    }

    fn subscriber() -> Arc<Notify> {
        Arc::default()
    }

    fn publish(feed: &Arc<Feed>, now: Instant, position: u64, bytes: usize) {
        feed.push(now, Position(position), Message::text("x".repeat(bytes)), true);
        feed.close(now, Position(position));
    }

    #[tokio::test]
    async fn a_subscriber_gets_pieces_in_order_and_is_woken() {
        let (feed, wake, now) = (feed(), subscriber(), Instant::now());
        publish(&feed, now, 1, 1);
        let (number, mut place) = feed.join(wake.clone());
        assert!(matches!(feed.next(&mut place, now), Next::Nothing) && feed.is_at_end(&place));
        for position in 2..4 {
            publish(&feed, now, position, 1);
        }
        while feed.rounds.tell_some() {}
        wake.notified().await;
        for position in 2..4 {
            let Next::Piece(piece) = feed.next(&mut place, now) else { panic!("no piece {position}") };
            assert_eq!((piece.up_to, piece.messages.len()), (Position(position), 1));
        }
        assert!(matches!(feed.next(&mut place, now), Next::Nothing));
        assert!(feed.leave(number));
    }

    #[tokio::test]
    async fn what_is_too_old_or_too_much_is_counted_and_left_out() {
        let (feed, start) = (feed(), Instant::now());
        let (_, mut late) = feed.join(subscriber());
        for n in 0..5 {
            publish(&feed, start, n, 10);
        }
        let later = start + MAX_WAIT + Duration::from_millis(1);
        assert!(matches!(feed.next(&mut late, later), Next::Behind));
        assert_eq!(feed.skip(&mut late, later, Position(4)), 5);
        assert!(matches!(feed.next(&mut late, later), Next::Nothing));

        let (_, mut slow) = feed.join(subscriber());
        for n in 0..6 {
            publish(&feed, later, 10 + n, 1 << 20);
        }
        assert!(matches!(feed.next(&mut slow, later), Next::Behind));
        assert_eq!(feed.skip(&mut slow, later, Position(15)), 6);
        feed.expire(later + MAX_WAIT * 2);
        assert_eq!(lock(&feed.queue).bytes, 0);
    }

    #[tokio::test]
    async fn everybody_is_told_once_a_round_and_of_what_comes_meanwhile_in_another() {
        let (feed, now) = (feed(), Instant::now());
        let rounds = feed.rounds.clone();
        let subscribers: Vec<_> = (0..3 * TOLD_AT_ONCE).map(|_| subscriber()).collect();
        let numbers: Vec<_> = subscribers.iter().map(|subscriber| feed.join(subscriber.clone()).0).collect();
        let told = |rounds: &Rounds| (0..).take_while(|_| rounds.tell_some()).count();
        publish(&feed, now, 1, 1);
        assert_eq!(told(&rounds), 3);
        publish(&feed, now, 2, 1);
        assert!(rounds.tell_some());
        publish(&feed, now, 3, 1);
        publish(&feed, now, 4, 1);
        assert_eq!(told(&rounds), 2 + 3);
        publish(&feed, now, 5, 1);
        let left: Vec<_> = numbers.into_iter().map(|number| feed.leave(number)).collect();
        assert_eq!(left.iter().filter(|is_last| **is_last).count(), 1);
        assert_eq!((told(&rounds), told(&rounds)), (1, 0));
    }

    #[tokio::test]
    async fn a_large_frame_comes_in_pieces_that_all_are_kept() {
        let (feed, now) = (feed(), Instant::now());
        let (_, mut place) = feed.join(subscriber());
        for n in 0..4096 {
            feed.push(now, Position(n), Message::text("x".repeat(400)), true);
        }
        feed.close(now, Position(4096));
        let mut messages = 0;
        while let Next::Piece(piece) = feed.next(&mut place, now) {
            assert!(piece.messages.len() <= MAX_PIECE);
            messages += piece.messages.len();
        }
        assert_eq!(messages, 4096);
    }
}
