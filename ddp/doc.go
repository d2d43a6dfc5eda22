// Package ddp is what several ranks do together: stores, process groups, collectives, DistributedDataParallel.
package ddp
