//! Large ranges as a stream.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream};
use proto::etcdserverpb as pb;
use tonic::{Code, Status, Streaming};

use super::KeyValue;
use super::get::Get;
use super::pages::Pages;
use crate::call::Attached;
use crate::error::Error;

/// Keys of a page where the server cannot stream.
const PAGE: usize = 1000;

/// The keys of a range as they come, in the order of the keys, all of them as of one revision.
///
/// A server of version 3.7 or later sends them as one stream of messages; an older one is asked for pages. If the stream
/// breaks before its end, it ends with an error.
///
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// use tokio_stream::StreamExt;
/// let mut rows = client.get(quorate_client::prefix("/logs/")).stream();
/// while let Some(kv) = rows.next().await {
///     println!("{}", kv?.key_str());
/// }
/// # Ok(()) }
/// ```
pub struct Rows {
    /// What was received and not yet returned.
    buffer: VecDeque<KeyValue>,
    state: State,
}

type Page = Result<Option<Vec<KeyValue>>, Error>;

enum State {
    Opening(BoxFuture<'static, Result<Streaming<pb::RangeStreamResponse>, Status>>, Get<Attached>),
    Open(Box<Streaming<pb::RangeStreamResponse>>, Get<Attached>),
    Paging(BoxFuture<'static, (Pages, Page)>),
    Ended,
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("buffered", &self.buffer.len()).finish_non_exhaustive()
    }
}

impl Rows {
    pub(crate) fn new(get: Get<Attached>) -> Rows {
        let (client, request) = (get.state.client.clone(), get.state.request(get.message.clone()));
        let opening = async move { Ok(client.kv().range_stream(request).await?.into_inner()) };
        Rows { buffer: VecDeque::new(), state: State::Opening(opening.boxed(), get) }
    }

    fn fail(&mut self, status: Status) -> Poll<Option<Result<KeyValue, Error>>> {
        self.state = State::Ended;
        Poll::Ready(Some(Err(status.into())))
    }
}

fn next_page(mut pages: Pages) -> State {
    let read = async move {
        let page = pages.next().await;
        (pages, page)
    };
    State::Paging(read.boxed())
}

impl Stream for Rows {
    type Item = Result<KeyValue, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(kv) = self.buffer.pop_front() {
                return Poll::Ready(Some(Ok(kv)));
            }
            match &mut self.state {
                State::Ended => return Poll::Ready(None),
                State::Opening(opening, get) => match ready!(opening.poll_unpin(context)) {
                    Ok(open) => self.state = State::Open(Box::new(open), get.clone()),
                    Err(status) if status.code() == Code::Unimplemented => {
                        self.state = next_page(Pages::new(get.clone(), PAGE));
                    }
                    Err(status) => return self.fail(status),
                },
                State::Open(stream, get) => match ready!(Pin::new(stream).poll_next(context)) {
                    Some(Ok(message)) => {
                        let kvs = message.range_response.unwrap_or_default().kvs;
                        self.buffer.extend(kvs.into_iter().map(KeyValue::from));
                    }
                    // An older server says so in place of the first message.
                    Some(Err(status)) if status.code() == Code::Unimplemented => {
                        self.state = next_page(Pages::new(get.clone(), PAGE));
                    }
                    Some(Err(status)) => return self.fail(status),
                    None => self.state = State::Ended,
                },
                State::Paging(page) => {
                    let (pages, page) = ready!(page.poll_unpin(context));
                    match page {
                        Ok(Some(kvs)) => {
                            self.buffer.extend(kvs);
                            self.state = next_page(pages);
                        }
                        Ok(None) => self.state = State::Ended,
                        Err(error) => {
                            self.state = State::Ended;
                            return Poll::Ready(Some(Err(error)));
                        }
                    }
                }
            }
        }
    }
}
