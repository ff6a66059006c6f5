"""The embedded AWS on one machine: up, down, demo. Nothing in this folder is deployed."""
