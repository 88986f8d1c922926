//! An in-memory disk that fails, tears and crashes on request.
