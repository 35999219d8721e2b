//! A timer for deadlines that are nearly always taken back.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use tokio::time::{Instant as TokioInstant, sleep_until};

/// The timer of one connection, for hyper.
///
/// hyper sets a deadline for each request's head, and takes it back as soon as the head is there:
/// with tokio's timer that is an entry put into a wheel and taken out again, under a lock, for each
/// of a million requests. Here it is a number. One alarm of tokio's is set for the first of the
/// deadlines and stays; when it goes off, it is set anew for the deadline that then holds.
#[derive(Clone, Debug, Default)]
pub(super) struct LazyTimer {
    /// Clones are the same alarm. Nobody waits for this lock: a connection is one task.
    alarm: Arc<Mutex<Option<Pin<Box<tokio::time::Sleep>>>>>,
}

/// Waits until `deadline`.
struct LazySleep {
    deadline: TokioInstant,
    timer: LazyTimer,
}

impl Timer for LazyTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(LazySleep { deadline: TokioInstant::now() + duration, timer: self.clone() })
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(LazySleep { deadline: deadline.into(), timer: self.clone() })
    }

    fn now(&self) -> Instant {
        TokioInstant::now().into()
    }
}

impl Future for LazySleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut alarm = self.timer.alarm.lock().unwrap_or_else(PoisonError::into_inner);
        let alarm = alarm.get_or_insert_with(|| Box::pin(sleep_until(self.deadline)));
        if self.deadline < alarm.deadline() {
            alarm.as_mut().reset(self.deadline);
        }
        while alarm.as_mut().poll(cx).is_ready() {
            if self.deadline <= alarm.deadline() {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(self.deadline);
        }
        Poll::Pending
    }
}

impl Sleep for LazySleep {}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_is_kept_whatever_the_alarm_was_set_for_before() {
        let (timer, begun) = (LazyTimer::default(), TokioInstant::now());
        timer.sleep(seconds(30)).await;
        assert_eq!(begun.elapsed(), seconds(30));
        timer.sleep(seconds(5)).await;
        assert_eq!(begun.elapsed(), seconds(35), "behind an alarm that has gone off");
        assert!(poll_once(&mut timer.sleep(seconds(100))).is_pending());
        timer.sleep(seconds(10)).await;
        assert_eq!(begun.elapsed(), seconds(45), "before the alarm");
        timer.sleep_until(timer.now()).await;
        assert_eq!(begun.elapsed(), seconds(45));
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_that_goes_off_too_early_is_set_anew_and_ends_no_wait() {
        let (timer, begun) = (LazyTimer::default(), TokioInstant::now());
        for _ in 0..7 {
            // A request each 8 seconds, whose deadline is taken back after one.
            let mut sleeping = timer.sleep(seconds(30));
            assert!(poll_once(&mut sleeping).is_pending());
            sleep(seconds(1)).await;
            assert!(poll_once(&mut sleeping).is_pending());
            drop(sleeping);
            sleep(seconds(7)).await;
        }
        timer.sleep(seconds(30)).await;
        assert_eq!(begun.elapsed(), seconds(7 * 8 + 30));
    }

    fn poll_once(sleep: &mut Pin<Box<dyn Sleep>>) -> Poll<()> {
        sleep.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop()))
    }
}
