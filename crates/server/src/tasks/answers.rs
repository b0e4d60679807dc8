//! Answering what other members ask of the leader.

use std::sync::Arc;

use engine::limits::QUESTIONS_MAX;
use engine::questions::Asked;
use engine::spawn;
use tokio::sync::{Semaphore, mpsc};

use crate::api::Api;

/// Runs for as long as the member.
pub(crate) async fn run(api: Arc<Api>, mut questions: mpsc::Receiver<Asked>) {
    let slots = Arc::new(Semaphore::new(QUESTIONS_MAX));
    while let Some(Asked { from, nonce, question }) = questions.recv().await {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let api = api.clone();
        spawn::task("answer to a member", async move {
            let answer = api.answer(question).await;
            api.questions.answer(from, nonce, answer);
            drop(slot);
        });
    }
}
