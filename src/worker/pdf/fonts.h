/* Fonts that a document names and does not bring along, for a process that can open no files.
 *
 * Before the sandbox every font that fontconfig knows is mapped (address space, hardly any memory: pages are read when a font
 * is used). Inside it, fopen and open of one of these names are answered from the mappings, and from nothing else. */
#ifndef WEFT_WORKER_PDF_FONTS_H
#define WEFT_WORKER_PDF_FONTS_H

/* Once, before the sandbox. */
void weft_pdf_fonts_load(void);

#endif
