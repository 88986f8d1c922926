//! Streams of responses.

use futures::stream::{self, BoxStream, Stream, StreamExt};
use tonic::Status;

use super::status;
use crate::draining::Draining;

/// Responses of a call with a stream of them.
pub(super) type Responses<T> = BoxStream<'static, Result<T, Status>>;

/// Ends `responses` once the server is shutting down.
pub(super) fn until_drained<T: Send + 'static>(
    responses: impl Stream<Item = Result<T, Status>> + Send + 'static,
    draining: &Draining,
) -> Responses<T> {
    let end = stream::once(async { Err(status::draining()) });
    let responses = responses.take_until(draining.begun()).chain(end);
    responses.fuse().boxed()
}
