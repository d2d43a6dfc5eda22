// Command photos reads a folder of JPEG files and captions.json beside them with several workers: a data set and a
// collate function of one's own.
//
//	photos -dir photos
package main
