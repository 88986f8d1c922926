//! Streams of requests that are submitted in their order and acknowledged together.

use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, StreamExt};
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Status, Streaming};

use super::responses::Responses;
use super::status;
use crate::error::Error;
use crate::state::App;

/// The most requests of a stream that are under way.
const REQUESTS_MAX: usize = 64;

/// The most bytes of them; a larger request is under way alone.
const BYTES_MAX: u32 = 4 << 20;

/// The response to a request that was submitted.
pub(super) type Answer<T> = BoxFuture<'static, Result<T, Error>>;

/// What takes requests one after the other.
#[tonic::async_trait]
pub(super) trait Submit: Send + 'static {
    type Request: Message + Default + 'static;
    type Response: Send + 'static;

    /// Submits a request, and returns what waits for its response.
    async fn submit(&mut self, request: Self::Request) -> Result<Answer<Self::Response>, Error>;
}

/// Answers requests in their order. Each is submitted before the next is looked at. The first failure ends the stream, and
/// so does the shutdown of the server, after the responses to what was submitted before.
pub(super) fn in_order<S: Submit>(
    app: &App,
    requests: Streaming<S::Request>,
    submit: S,
) -> Responses<S::Response> {
    let pipeline = Pipeline {
        app: app.clone(),
        requests,
        bytes: Arc::new(Semaphore::new(BYTES_MAX as usize)),
        submit,
    };
    let answers = stream::unfold(Some(pipeline), async |pipeline| {
        let mut pipeline = pipeline?;
        match pipeline.next().await {
            Ok(Some((answer, permit))) => {
                let answer = async move {
                    let _held = permit;
                    answer.await.map_err(|error| status::of(&error))
                };
                Some((answer.boxed(), Some(pipeline)))
            }
            Ok(None) => None,
            Err(status) => Some((async { Err(status) }.boxed(), None)),
        }
    });
    answers.buffered(REQUESTS_MAX).fuse().boxed()
}

/// A stream of requests.
struct Pipeline<S: Submit> {
    app: App,
    requests: Streaming<S::Request>,
    bytes: Arc<Semaphore>,
    submit: S,
}

impl<S: Submit> Pipeline<S> {
    /// Submits the next request.
    async fn next(
        &mut self,
    ) -> Result<Option<(Answer<S::Response>, OwnedSemaphorePermit)>, Status> {
        let request = tokio::select! {
            biased;
            () = self.app.draining.begun() => return Err(status::draining()),
            request = self.requests.message() => request?,
        };
        let Some(request) = request else {
            return Ok(None);
        };
        let len = u32::try_from(request.encoded_len()).unwrap_or(u32::MAX);
        let len = len.clamp(1, BYTES_MAX);
        let permit = Arc::clone(&self.bytes).acquire_many_owned(len).await;
        let permit = permit.expect("the semaphore is never closed");
        let submitted = self.submit.submit(request).await;
        let answer = submitted.map_err(|error| status::of(&error))?;
        Ok(Some((answer, permit)))
    }
}
