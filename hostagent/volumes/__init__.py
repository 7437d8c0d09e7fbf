"""Volumes: a workspace's files as btrfs subvolumes, saved to and restored from a bucket."""
