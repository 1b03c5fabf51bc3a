//! A noun's verbs as an enum.

/// Declares the enum of a noun's verbs, each of which runs itself.
macro_rules! verbs {
    ($(#[$meta:meta])* $name:ident { $($(#[$attribute:meta])* $verb:ident($arguments:ty),)* }) => {
        $(#[$meta])*
        #[derive(Debug, clap::Subcommand)]
        pub(crate) enum $name { $($(#[$attribute])* $verb($arguments),)* }

        impl $name {
            pub(crate) async fn run(self, cx: &$crate::context::Context) -> anyhow::Result<()> {
                match self { $(Self::$verb(verb) => verb.run(cx).await,)* }
            }
        }
    };
}
pub(crate) use verbs;
