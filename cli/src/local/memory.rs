//! Memory that is given back: reading a file of thousands of apps takes more than they keep.

/// Gives what this thread's part of the allocator holds and nobody uses back to the system. By itself it would keep it
/// for the next time, and the next time may never come.
pub(super) fn give_back() {
    // SAFETY: it only moves and returns what is free, under the allocator's own rules for its callers: any thread, at
    // any time. Where another allocator is in use, as in tests, there is nothing to return.
    #[allow(unsafe_code, reason = "a function of C")]
    unsafe {
        libmimalloc_sys::mi_collect(true);
    }
}
