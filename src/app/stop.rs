//! How a server stops: it asks its tasks to finish, waits for them, then ends what is left.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::coop::has_budget_remaining;

/// How far the stop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Nobody has asked for a stop.
    Running,
    /// Finish what is open, start nothing new.
    Finishing,
    /// Drop everything.
    Over,
}

/// The switch that stops a server; clones are the same switch.
#[derive(Clone, Debug)]
pub struct Stop {
    phase: watch::Sender<Phase>,
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

impl Stop {
    /// A switch that nobody has pressed.
    pub fn new() -> Self {
        Self { phase: watch::Sender::new(Phase::Running) }
    }

    /// What a task holds for as long as the stop shall wait for it.
    pub fn guard(&self) -> Guard {
        Guard { phase: self.phase.subscribe() }
    }

    /// Asks every task to finish; returns at once. Asking twice changes nothing.
    pub fn begin(&self) {
        self.phase.send_if_modified(|phase| {
            let is_running = *phase == Phase::Running;
            if is_running {
                *phase = Phase::Finishing;
            }
            is_running
        });
    }

    /// Asks every task to finish and waits up to `grace` for them; then ends the others. True if
    /// none had to be ended.
    pub async fn finish(&self, grace: Duration) -> bool {
        self.begin();
        let is_done = tokio::time::timeout(grace, self.phase.closed()).await.is_ok();
        self.phase.send_replace(Phase::Over);
        // What is left drops its connection as soon as it is polled, which takes no peer.
        self.phase.closed().await;
        is_done
    }
}

/// Held by a task that a stop waits for, and tells that task how far the stop has come.
#[derive(Clone, Debug)]
pub struct Guard {
    phase: watch::Receiver<Phase>,
}

impl Guard {
    /// Returns once the stop has begun. Cancel safe.
    pub async fn begun(&mut self) {
        self.reached(Phase::Finishing).await;
    }

    /// Runs `work` to its end, or until the time to finish is over: then `None`.
    pub async fn run<F: Future>(mut self, work: F) -> Option<F::Output> {
        self.unless(Phase::Over, pin!(work)).await
    }

    /// As [`Guard::run`]; once the stop has begun, `finish` asks the work to come to its end.
    pub(super) async fn run_and_finish<F: Future>(
        mut self,
        mut work: Pin<&mut F>,
        finish: impl FnOnce(Pin<&mut F>),
    ) -> Option<F::Output> {
        let output = self.unless(Phase::Finishing, work.as_mut()).await;
        if output.is_some() {
            return output;
        }
        finish(work.as_mut());
        self.unless(Phase::Over, work).await
    }

    /// Runs `work` to its end, or until `phase`.
    ///
    /// Work may be woken for each of a million requests, and a stop comes once; so whether it has
    /// come is asked only when there is news, or nobody would be told of it.
    async fn unless<F: Future>(
        &mut self,
        phase: Phase,
        mut work: Pin<&mut F>,
    ) -> Option<F::Output> {
        let news = self.phase.clone();
        let mut reached = pin!(self.reached(phase));
        let mut told: Option<Waker> = None;
        poll_fn(|cx| {
            if let Poll::Ready(output) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            let is_told = told.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
            if is_told && matches!(news.has_changed(), Ok(false)) {
                return Poll::Pending;
            }
            // Work that has used the task's budget up leaves none to ask with: tokio then polls the
            // task once more and tells it of nothing, so it has to ask again.
            told = has_budget_remaining().then(|| cx.waker().clone());
            reached.as_mut().poll(cx).map(|()| None)
        })
        .await
    }

    /// A switch that is gone was never pressed, and can no longer be.
    async fn reached(&mut self, phase: Phase) {
        if self.phase.wait_for(|&now| now >= phase).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_finishes_in_time_is_not_ended() {
        let stop = Stop::new();
        let mut guard = stop.guard();
        let task = tokio::spawn(async move {
            guard.begun().await;
            guard.run(tokio::time::sleep(Duration::from_secs(4))).await
        });
        tokio::task::yield_now().await;
        assert!(stop.finish(Duration::from_secs(5)).await);
        assert_eq!(task.await.unwrap(), Some(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_never_finishes_is_ended_when_the_time_is_over() {
        let stop = Stop::new();
        let task = tokio::spawn(stop.guard().run(std::future::pending::<()>()));
        tokio::task::yield_now().await;
        let begun = tokio::time::Instant::now();
        assert!(!stop.finish(Duration::from_secs(5)).await);
        assert_eq!(begun.elapsed(), Duration::from_secs(5));
        assert_eq!(task.await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_has_used_its_budget_up_and_then_waits_is_told_of_the_stop() {
        let stop = Stop::new();
        let work = async {
            while has_budget_remaining() {
                tokio::task::coop::consume_budget().await;
            }
            std::future::pending::<()>().await;
        };
        let task = tokio::spawn(stop.guard().run(work));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let finish = stop.finish(Duration::from_secs(5));
        let is_done = tokio::time::timeout(Duration::from_mins(1), finish).await;
        assert_eq!(is_done, Ok(false));
        assert_eq!(task.await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_with_nothing_open_takes_no_time() {
        let stop = Stop::new();
        let begun = tokio::time::Instant::now();
        assert!(stop.finish(Duration::from_secs(5)).await);
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
