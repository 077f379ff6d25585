//! Stopping in two steps: first nothing new is started, then nothing is waited for.

use tokio_util::sync::CancellationToken;

/// How far the user wants a run stopped.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    drain: CancellationToken,
    abandon: CancellationToken,
}

impl Cancel {
    /// One more request to stop: the first drains, the second abandons.
    pub fn escalate(&self) {
        if self.drain.is_cancelled() {
            self.abandon.cancel();
        }
        self.drain.cancel();
    }

    /// Whether nothing new is to be started.
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Waits until nothing new is to be started.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Waits until nothing is to be waited for.
    pub async fn abandoned(&self) {
        self.abandon.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_request_drains_and_the_second_abandons() {
        let cancel = Cancel::default();
        cancel.escalate();
        assert!(cancel.is_draining() && !cancel.abandon.is_cancelled());
        cancel.escalate();
        assert!(cancel.abandon.is_cancelled());
    }

    #[test]
    fn whoever_waits_for_a_request_hears_of_it() {
        use futures::FutureExt as _;
        let cancel = Cancel::default();
        let heard = || (cancel.draining().now_or_never(), cancel.abandoned().now_or_never());
        assert_eq!((heard(), cancel.is_draining()), ((None, None), false));
        cancel.escalate();
        assert_eq!((heard(), cancel.is_draining()), ((Some(()), None), true));
        cancel.escalate();
        assert_eq!(heard(), (Some(()), Some(())));
    }
}
