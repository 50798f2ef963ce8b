"""Carry a manifest out: tasks, their store, the plan, the record."""
