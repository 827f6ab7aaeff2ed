"""What happens on the machine beside a measurement, and what of it would spoil one."""
