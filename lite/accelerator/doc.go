// Package accelerator has the kinds of hardware that ranks run on, and the grammar of the setting devices.
package accelerator
