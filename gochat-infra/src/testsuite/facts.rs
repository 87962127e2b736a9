//! How a suite becomes tests of an adapter.

/// Makes one `#[tokio::test]` per fact of a suite. `$make` is an async expression that
/// builds a fresh adapter.
#[doc(hidden)]
#[macro_export]
macro_rules! __facts {
    ($make:expr, $suite:path, [$($fact:ident),* $(,)?]) => {
        $(
            #[tokio::test]
            async fn $fact() {
                use $suite as suite;
                suite::$fact($make.await).await;
            }
        )*
    };
}
