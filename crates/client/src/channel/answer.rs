//! The body of an answer.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tonic::{Code, Status};

use super::pulse::Flight;
use crate::retry::{Local, local};

/// What follows the head of an answer. While it is not at its end, its connection counts as in use.
#[derive(Debug)]
pub struct Answer {
    body: Incoming,
    flight: Option<Flight>,
}

impl Answer {
    pub(crate) fn new(body: Incoming, flight: Flight) -> Answer {
        Answer { body, flight: Some(flight) }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(None | Some(Err(_))) = &polled {
            self.flight = None;
        }
        polled.map_err(|error| local(Code::Unavailable, describe(&error), Local::NoAnswer))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Returns the error with its causes: the first is seldom the one that helps.
pub(crate) fn describe(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
