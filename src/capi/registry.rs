//! The stacks of this process by the number that C knows as `wharf *`.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::abi::Wharf;
use super::errno::{Answer, EINVAL, Errno};
use super::host::Host;

/// The stacks that have been made and not been freed. The numbers decide no packet.
static STACKS: RwLock<BTreeMap<usize, Arc<Mutex<Host>>>> = RwLock::new(BTreeMap::new());

/// The number of the next one; 0 is NULL.
static NEXT: AtomicUsize = AtomicUsize::new(1);

/// Adds a stack and gives its number out, as a pointer that leads nowhere.
pub(super) fn add(host: Host) -> *mut Wharf {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut stacks = STACKS.write().unwrap_or_else(PoisonError::into_inner);
    stacks.insert(number, Arc::new(Mutex::new(host)));
    std::ptr::without_provenance_mut(number)
}

/// Gives a stack up. One that is not there is none.
pub(super) fn remove(wharf: *const Wharf) {
    let mut stacks = STACKS.write().unwrap_or_else(PoisonError::into_inner);
    let gone = stacks.remove(&wharf.addr());
    drop(stacks); // What lies in the stack is freed without holding up the others.
    drop(gone);
}

/// Runs `call` on the stack: EINVAL if it is not there, ENOTRECOVERABLE if it has panicked, now or
/// before.
pub(super) fn with<T>(wharf: *const Wharf, call: impl FnOnce(&mut Host) -> Answer<T>) -> Answer<T> {
    let host = {
        let stacks = STACKS.read().unwrap_or_else(PoisonError::into_inner);
        stacks.get(&wharf.addr()).cloned().ok_or(EINVAL)?
    };
    let broken = Errno(libc::ENOTRECOVERABLE);
    // The lock is taken within, so that a panic poisons it: nobody sees the half-changed stack.
    let run = AssertUnwindSafe(|| call(&mut *host.lock().map_err(|_| broken)?));
    catch_unwind(run).unwrap_or(Err(broken))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StackConfig;
    use crate::rng::Seed;

    fn host() -> Host {
        let config = StackConfig::new("10.7.0.2/32".parse().unwrap());
        Host::new(config, Seed::from_number(1)).unwrap()
    }

    #[test]
    fn what_was_freed_or_never_made_is_refused_and_not_followed() {
        let wharf = add(host());
        assert_eq!(with(wharf, |_| Ok(7)), Ok(7));
        remove(wharf);
        remove(wharf);
        assert_eq!(with(wharf, |_| Ok(7)), Err(EINVAL));
        assert_eq!(with(std::ptr::null(), |_| Ok(7)), Err(EINVAL));
        let other = add(host());
        assert_ne!(wharf, other);
        remove(other);
    }

    #[test]
    fn a_stack_that_panicked_answers_nothing_any_more() {
        let broken = Errno(libc::ENOTRECOVERABLE);
        let (wharf, other) = (add(host()), add(host()));
        assert_eq!(with::<()>(wharf, |_| panic!("as a broken invariant does")), Err(broken));
        assert_eq!(with(wharf, |_| Ok(7)), Err(broken));
        assert_eq!(with(other, |_| Ok(7)), Ok(7));
        remove(wharf);
        remove(other);
        assert_eq!(with(wharf, |_| Ok(7)), Err(EINVAL));
    }
}
