//! Taking back the NOSPACE alarm when compactions or deletes have made space.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::api::Api;

/// How often a member looks whether its alarm still has a reason.
const INTERVAL: Duration = Duration::from_secs(2);

/// Runs for as long as the member.
pub(crate) async fn run(api: Arc<Api>) {
    // An alarm from before the start is most likely this member's own doing: requests seldom raise one.
    if api.has_no_space_alarm() {
        api.shared.raised_no_space.store(true, Ordering::Relaxed);
    }
    loop {
        tokio::time::sleep(INTERVAL).await;
        api.disarm_if_freed().await;
    }
}
