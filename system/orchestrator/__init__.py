"""The warm pool: policy, allocation, queue, reconciliation and providers."""
