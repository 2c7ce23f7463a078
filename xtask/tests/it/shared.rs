//! One stack for all tests that leave it as they found it: they take turns.

use std::ops::Deref;
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::checkout::Checkout;

/// A stack that tests share.
pub struct Shared {
    checkout: Checkout,
    /// Ends with the process, however that ends, and takes the stack away.
    _reaper: Child,
}

type SharedStack = LazyLock<Mutex<Shared>>;

static SHARED: SharedStack = LazyLock::new(start);

/// Another one, for tests of what was saved.
pub static SAVED: SharedStack = LazyLock::new(start);

fn start() -> Mutex<Shared> {
    let checkout = Checkout::with_stack();
    Mutex::new(Shared {
        _reaper: start_reaper(&checkout),
        checkout,
    })
}

/// The shared stack, healthy, for one test alone.
pub struct Turn(MutexGuard<'static, Shared>);

/// Waits for a turn on the shared stack and sees that it is healthy.
#[track_caller]
pub fn stack() -> Turn {
    stack_of(&SHARED)
}

/// The same for another shared stack.
#[track_caller]
pub fn stack_of(shared: &'static SharedStack) -> Turn {
    // A test that failed has nothing to say about the next one.
    let turn = Turn(shared.lock().unwrap_or_else(PoisonError::into_inner));
    turn.xtask(&["up"]).success();
    turn
}

impl Deref for Turn {
    type Target = Checkout;

    fn deref(&self) -> &Checkout {
        &self.0.checkout
    }
}

/// A static value is never dropped, so a process of its own waits for the end of this one: its stdin is
/// ours.
fn start_reaper(checkout: &Checkout) -> Child {
    let script = "cat; \
        docker ps --all --quiet --filter \"$1\" | xargs -r docker rm --force --volumes; \
        docker network ls --quiet --filter \"$1\" | xargs -r docker network rm; \
        docker volume ls --quiet --filter \"$1\" | xargs -r docker volume rm; \
        rm -rf --one-file-system \"$2\"";
    let filter = format!("label=com.docker.compose.project={}", checkout.project);
    let mut reaper = Command::new("sh");
    reaper
        .args(["-c", script, "reaper", &filter])
        .arg(checkout.root());
    reaper
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    #[cfg(unix)]
    {
        // Ctrl-C is for the tests.
        use std::os::unix::process::CommandExt;
        reaper.process_group(0);
    }
    reaper.spawn().unwrap()
}
