//! What values and keys are made from.

use std::borrow::Cow;

use bytes::Bytes;

/// Bytes to append: what [`Record::new`](crate::Record::new), keys and header values are made from.
///
/// Owned bytes ([`Bytes`], `Vec<u8>`, `String`, `Box<[u8]>`) are moved; borrowed ones and arrays are
/// copied. To append static data without a copy, use [`Bytes::from_static`].
///
/// ```
/// use proglog_log::{Batch, Record};
///
/// let line = String::from("borrowed");
/// let batch = Batch::from_iter([
///     Record::from(&line),
///     Record::from(line.as_bytes()),
///     Record::from(b"literal"),
///     Record::from([1, 2, 3]),
///     Record::from(7_u64.to_be_bytes()),
///     Record::from(vec![1, 2, 3]),
/// ]);
/// assert_eq!(batch.len(), 6);
/// ```
pub trait IntoBytes {
    /// The bytes.
    fn into_bytes(self) -> Bytes;

    /// The same bytes, borrowed.
    fn as_bytes(&self) -> &[u8];
}

macro_rules! moved {
    ($($owned:ty),*) => {$(
        impl IntoBytes for $owned {
            #[inline]
            fn into_bytes(self) -> Bytes {
                self.into()
            }

            #[inline]
            fn as_bytes(&self) -> &[u8] {
                self.as_ref()
            }
        }
    )*};
}

moved!(Bytes, Vec<u8>, String, Box<[u8]>);

macro_rules! copied {
    ($($borrowed:ty),*) => {$(
        impl IntoBytes for $borrowed {
            #[inline]
            fn into_bytes(self) -> Bytes {
                let bytes: &[u8] = self.as_ref();
                Bytes::copy_from_slice(bytes)
            }

            #[inline]
            fn as_bytes(&self) -> &[u8] {
                self.as_ref()
            }
        }
    )*};
}

copied!(&[u8], &str, &String, &Vec<u8>);

impl IntoBytes for Cow<'_, str> {
    #[inline]
    fn into_bytes(self) -> Bytes {
        self.into_owned().into()
    }

    #[inline]
    fn as_bytes(&self) -> &[u8] {
        str::as_bytes(self)
    }
}

impl IntoBytes for Cow<'_, [u8]> {
    #[inline]
    fn into_bytes(self) -> Bytes {
        self.into_owned().into()
    }

    #[inline]
    fn as_bytes(&self) -> &[u8] {
        self
    }
}

impl IntoBytes for &Bytes {
    /// Shares the memory.
    #[inline]
    fn into_bytes(self) -> Bytes {
        self.clone()
    }

    #[inline]
    fn as_bytes(&self) -> &[u8] {
        self
    }
}

impl<const N: usize> IntoBytes for [u8; N] {
    #[inline]
    fn into_bytes(self) -> Bytes {
        Bytes::copy_from_slice(&self)
    }

    #[inline]
    fn as_bytes(&self) -> &[u8] {
        self
    }
}

impl<const N: usize> IntoBytes for &[u8; N] {
    #[inline]
    fn into_bytes(self) -> Bytes {
        Bytes::copy_from_slice(self)
    }

    #[inline]
    fn as_bytes(&self) -> &[u8] {
        *self
    }
}
