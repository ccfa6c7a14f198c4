"""A server: questions come by HTTP, are batched, and are answered by processes that are started again if they die."""
