//! Where callers and the task of a connection meet: requests in, completions out.
//!
//! The lock is held for a push, a swap or a look; nothing is parsed, copied or woken under it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use slab::Slab;

use super::dial::Joined;
use crate::core::command::{Completion, Finished, Request, Token};
use crate::core::{CommandError, ConnectionError, Stats};

/// What a caller has for the connection.
#[derive(Debug)]
pub(crate) enum Message {
    Submit(Token, Request),
    /// A further connection.
    Attach(Token, Box<Joined>),
    /// Nobody waits for this request any more.
    Cancel(Token),
    /// The last handle of the session is gone.
    Shutdown,
}

#[derive(Debug, Default)]
pub(crate) struct Mailbox(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    inbox: Vec<Message>,
    places: Slab<Place>,
    /// Wakes the connection's task while it sleeps.
    sleeper: Option<Waker>,
    closed: Option<ConnectionError>,
    /// What was counted until the end.
    last: Option<Box<Stats>>,
}

/// Where one caller finds its completion.
#[derive(Debug)]
enum Place {
    Waiting(Option<Waker>),
    Done(Completion),
    /// The caller has gone; the place is free once the completion has come.
    Abandoned,
}

impl Mailbox {
    /// Hands a request over. It is on its way at once, whether or not the result is awaited.
    pub(crate) fn submit(self: &Arc<Self>, request: Request) -> Pending {
        let counts = matches!(request, Request::Stats);
        self.leave(counts, |token| Message::Submit(token, request))
    }

    /// Hands a further connection over.
    pub(crate) fn attach(self: &Arc<Self>, joined: Joined) -> Pending {
        self.leave(false, |token| Message::Attach(token, Box::new(joined)))
    }

    /// Leaves a message for the session's task. The last counts are there even after its end.
    fn leave(self: &Arc<Self>, counts: bool, message: impl FnOnce(Token) -> Message) -> Pending {
        let (token, sleeper) = {
            let mut inner = self.lock();
            if let Some(error) = inner.closed.clone() {
                let closed = Err(CommandError::Closed { error, sent: false });
                let last = inner.last.clone().filter(|_| counts);
                let place = Place::Done(last.map_or(closed, |last| Ok(Finished::Stats(last))));
                (inner.places.insert(place), None)
            } else {
                let token = inner.places.insert(Place::Waiting(None));
                inner.inbox.push(message(token));
                (token, inner.sleeper.take())
            }
        };
        wake(sleeper);
        Pending { mailbox: Arc::clone(self), token: Some(token) }
    }

    /// Tells the connection that no handle is left.
    pub(crate) fn shut_down(&self) {
        let sleeper = {
            let mut inner = self.lock();
            inner.inbox.push(Message::Shutdown);
            inner.sleeper.take()
        };
        wake(sleeper);
    }

    /// Why the connection is over, if it is.
    pub(crate) fn closed(&self) -> Option<ConnectionError> {
        self.lock().closed.clone()
    }

    /// Takes all messages. If there are none, `waker` is woken by the next one.
    pub(crate) fn collect(&self, into: &mut Vec<Message>, waker: &Waker) {
        let mut inner = self.lock();
        if inner.inbox.is_empty() {
            inner.sleeper = Some(waker.clone());
        } else {
            std::mem::swap(&mut inner.inbox, into);
        }
    }

    /// Puts completions into their places. Whoever waits for them is added to `wakers`, to be woken afterwards.
    pub(crate) fn deliver(&self, done: &mut Vec<(Token, Completion)>, wakers: &mut Vec<Waker>) {
        if done.is_empty() {
            return;
        }
        let mut inner = self.lock();
        for (token, completion) in done.drain(..) {
            match inner.places.get_mut(token) {
                Some(Place::Waiting(waker)) => {
                    wakers.extend(waker.take());
                    if let Some(place) = inner.places.get_mut(token) {
                        *place = Place::Done(completion);
                    }
                }
                Some(Place::Abandoned) => {
                    inner.places.remove(token);
                }
                Some(Place::Done(_)) | None => {}
            }
        }
    }

    /// Lets nothing in any more, but tells what was counted until then. Messages that were not collected are returned.
    pub(crate) fn close(&self, error: &ConnectionError, last: Stats) -> Vec<Message> {
        let mut inner = self.lock();
        inner.closed.get_or_insert_with(|| error.clone());
        inner.last.get_or_insert_with(|| Box::new(last));
        std::mem::take(&mut inner.inbox)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// A request on its way. Dropping it forgets the request if it has not been numbered yet; otherwise the command runs
/// to its end on the target, unseen.
#[derive(Debug)]
#[must_use = "a request that is dropped may not be sent"]
pub(crate) struct Pending {
    mailbox: Arc<Mailbox>,
    token: Option<Token>,
}

impl Future for Pending {
    type Output = Completion;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Completion> {
        let gone = Err(CommandError::Invalid("the request was polled after its end"));
        let Some(token) = self.token else { return Poll::Ready(gone) };
        let completion = {
            let mut inner = self.mailbox.lock();
            match inner.places.get_mut(token) {
                Some(Place::Waiting(waker)) => {
                    if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                        *waker = Some(cx.waker().clone());
                    }
                    return Poll::Pending;
                }
                Some(Place::Done(_)) => match inner.places.remove(token) {
                    Place::Done(completion) => completion,
                    Place::Waiting(_) | Place::Abandoned => gone,
                },
                Some(Place::Abandoned) | None => gone,
            }
        };
        self.token = None;
        Poll::Ready(completion)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let Some(token) = self.token else { return };
        let (forgotten, sleeper) = {
            let mut inner = self.mailbox.lock();
            let place = inner.places.get_mut(token).map(|place| std::mem::replace(place, Place::Abandoned));
            if !matches!(place, Some(Place::Waiting(_))) {
                inner.places.try_remove(token);
                return;
            }
            let unsent = |message: &Message| matches!(message, Message::Submit(other, _) if *other == token);
            if let Some(at) = inner.inbox.iter().position(unsent) {
                inner.places.remove(token);
                (Some(inner.inbox.remove(at)), None)
            } else {
                inner.inbox.push(Message::Cancel(token));
                (None, inner.sleeper.take())
            }
        };
        // A buffer may be freed here, which is not done under the lock.
        drop(forgotten);
        wake(sleeper);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct World {
        mailbox: Arc<Mailbox>,
        caller: Arc<Count>,
        driver: Arc<Count>,
    }

    impl World {
        fn new() -> Self {
            Self { mailbox: Arc::default(), caller: Arc::default(), driver: Arc::default() }
        }

        fn poll(&self, pending: &mut Pending) -> Poll<Completion> {
            let waker = Waker::from(Arc::clone(&self.caller));
            Pin::new(pending).poll(&mut Context::from_waker(&waker))
        }

        fn collect(&self) -> Vec<Message> {
            let mut messages = Vec::new();
            self.mailbox.collect(&mut messages, &Waker::from(Arc::clone(&self.driver)));
            messages
        }

        fn deliver(&self, token: Token) -> usize {
            let mut wakers = Vec::new();
            self.mailbox.deliver(&mut vec![(token, Ok(Finished::Pong))], &mut wakers);
            let woken = wakers.len();
            wakers.into_iter().for_each(Waker::wake);
            woken
        }

        fn places(&self) -> usize {
            self.mailbox.lock().places.len()
        }
    }

    #[test]
    fn a_request_goes_in_and_its_completion_comes_out() {
        let world = World::new();
        assert!(world.collect().is_empty());
        let mut pending = world.mailbox.submit(Request::Ping);
        assert_eq!(world.driver.0.load(Ordering::Relaxed), 1);
        assert!(world.poll(&mut pending).is_pending());
        let messages = world.collect();
        let [Message::Submit(token, Request::Ping)] = messages[..] else { panic!("{messages:?}") };
        assert_eq!(world.deliver(token), 1);
        assert_eq!(world.caller.0.load(Ordering::Relaxed), 1);
        assert!(matches!(world.poll(&mut pending), Poll::Ready(Ok(Finished::Pong))));
        assert_eq!(world.places(), 0);
    }

    #[test]
    fn many_submissions_wake_the_driver_once() {
        let world = World::new();
        assert!(world.collect().is_empty());
        let _pending: Vec<Pending> = (0..10).map(|_| world.mailbox.submit(Request::Ping)).collect();
        assert_eq!(world.driver.0.load(Ordering::Relaxed), 1);
        assert_eq!(world.collect().len(), 10);
    }

    #[test]
    fn r300_a_request_dropped_before_it_is_collected_leaves_no_trace() {
        let world = World::new();
        drop(world.mailbox.submit(Request::Ping));
        assert!(world.collect().is_empty());
        assert_eq!(world.places(), 0);
    }

    #[test]
    fn r300_a_request_dropped_later_keeps_its_place_until_its_end() {
        let world = World::new();
        let pending = world.mailbox.submit(Request::Ping);
        let messages = world.collect();
        let [Message::Submit(token, _)] = messages[..] else { panic!("{messages:?}") };
        drop(pending);
        assert!(matches!(world.collect()[..], [Message::Cancel(cancelled)] if cancelled == token));
        let other = world.mailbox.submit(Request::Ping);
        assert_ne!(other.token, Some(token));
        assert_eq!(world.deliver(token), 0);
        assert_eq!(world.places(), 1);
    }

    #[test]
    fn r299_a_request_dropped_after_its_end_frees_its_place() {
        let world = World::new();
        let pending = world.mailbox.submit(Request::Ping);
        world.deliver(pending.token.unwrap());
        drop(pending);
        assert_eq!(world.places(), 0);
        assert!(matches!(world.collect()[..], [Message::Submit(..)]));
    }

    #[test]
    fn a_closed_mailbox_refuses() {
        let world = World::new();
        let kept = world.mailbox.submit(Request::Ping);
        let mut last = Stats::default();
        last.timeouts = 7;
        assert_eq!(world.mailbox.close(&ConnectionError::ClosedByTarget, last.clone()).len(), 1);
        let mut pending = world.mailbox.submit(Request::Ping);
        assert!(matches!(
            world.poll(&mut pending),
            Poll::Ready(Err(CommandError::Closed { error: ConnectionError::ClosedByTarget, sent: false }))
        ));
        let mut counts = world.mailbox.submit(Request::Stats);
        let Poll::Ready(Ok(Finished::Stats(counts))) = world.poll(&mut counts) else { panic!("they are known") };
        assert_eq!(*counts, last);
        drop((kept, pending));
        assert_eq!(world.places(), 1, "the one that nobody delivered to");
    }
}
